"""From files and command lines to checked settings, with errors that name the field."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from jax_backprop.errors import InputError, did_you_mean
from jax_backprop.settings import Settings
from jax_backprop.study_file import Study

_Model = TypeVar("_Model", bound=Settings)


def read_study(path: Path, changes: Sequence[str] = ()) -> Study:
    """Read a study file (TOML), or raise InputError with what is wrong and where.

    Args:
      path: of the file.
      changes: fields to replace, each "KEY=VALUE" as a line of TOML, such as "epochs=2" or
        "axes.seed={count=2}".
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "study file",
            got=f"{path} ({getattr(error, 'strerror', None) or error})",
            expected="a readable TOML file",
            remedy="See experiments/learning_rate.toml for one.",
        ) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"study file {path}", got=f"{error}", expected="valid TOML", remedy="Mend that line."
        ) from None
    for change in changes:
        _replace(data, change)
    return parse(Study, data, f"study file {path}")


def _replace(data: dict[str, Any], change: str) -> None:
    """Replace one field of plain data by a line of TOML; a bare word is a string."""
    key, equals, value = change.partition("=")
    try:
        path = _path(tomllib.loads(f"{key} = 0")) if equals else []
    except tomllib.TOMLDecodeError:
        path = []
    if not path:
        raise InputError(
            "--set",
            got=repr(change),
            expected="KEY=VALUE as in a study file",
            remedy="Such as --set epochs=2, or --set 'axes.seed={count=2}'.",
        )
    for name in path[:-1]:
        inner = data.setdefault(name, {})
        data = inner if isinstance(inner, dict) else {}
    try:
        data[path[-1]] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        data[path[-1]] = value.strip()


def _path(nested: Any) -> list[str]:
    """Return the names that lead to the one value in nested tables."""
    if not isinstance(nested, dict):
        return []
    ((name, inner),) = nested.items()
    return [name, *_path(inner)]


def parse(model: type[_Model], data: dict[str, Any], where: str) -> _Model:
    """Check plain data against a model, or raise InputError naming the field and the nearest name.

    Goes through JSON, so that lists (TOML, JSON) and tuples agree under strict types.
    """
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise explain(error, model, where) from None


def explain(error: ValidationError, model: type[Settings], where: str) -> InputError:
    """Turn pydantic's first complaint into the project's one-paragraph error."""
    first = error.errors()[0]
    loc = list(first["loc"])
    field = ".".join(str(part) for part in loc)
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        name = str(loc[-1])
        return InputError(
            f"{where}, unknown field {field!r}",
            got=f"{name} = {first['input']!r}",
            expected=f"one of {', '.join(known)}",
            remedy=did_you_mean(name, known),
        )
    if first["type"] == "missing":
        return InputError(
            where, got=f"no field {field!r}", expected=f"a value for {field!r}", remedy="Add it."
        )
    if first["type"] == "literal_error":
        listed = str(first.get("ctx", {})["expected"]).replace(" or ", ",")
        known = [part.strip("' ") for part in listed.split(",")]
        return InputError(
            f"{where}, field {field!r}",
            got=repr(first["input"]),
            expected=f"one of {', '.join(known)}",
            remedy=did_you_mean(str(first["input"]), known),
        )
    message = first["msg"].removeprefix("Value error, ")
    return InputError(
        f"{where}, field {field!r}" if field else where,
        got=repr(first["input"]),
        expected=message[0].lower() + message[1:],
        remedy="Change that value.",
    )


def _fields_at(model: type[Settings], loc: list[int | str]) -> list[str]:
    """Return the names of the fields of the model that lies at a path within another."""
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, Settings):
                model = kind
    return list(model.model_fields)
