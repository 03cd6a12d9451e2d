"""From files and command lines to checked settings, with errors that name the field."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from jax_backprop.errors import InputError, did_you_mean
from jax_backprop.fields import UNUSED, Settings
from jax_backprop.reading import parse_toml, read_toml
from jax_backprop.study_file import CHOICES, Study

MOST_SEED = 2**31 - 1
_Model = TypeVar("_Model", bound=Settings)


def read_study(path: Path, changes: Sequence[str] = ()) -> Study:
    """Read a study file (TOML), or raise InputError with what is wrong and where.

    Args:
      path: of the file.
      changes: fields to replace, each "KEY=VALUE" as a line of TOML, such as "epochs=2" or
        "axes.seed={count=2}".
    """
    data = read_toml(
        path,
        what="study file",
        expected="valid TOML",
        remedy="`jax-backprop new DIR` writes one to start from.",
    )
    done: list[list[str]] = []
    for change in changes:
        place = _replace(data, change)
        if any(each[: len(place)] == place for each in done):
            raise _bad_change(f"{change!r} after another change of it", "each field once")
        done.append(place)
    return parse(Study, data, f"study file {path}")


def _replace(data: dict[str, Any], change: str) -> list[str]:
    """Replace one field of plain data by a line of TOML, a bare word being a string.

    Returns the names that lead to it. Beside a choice that is given by its name alone,
    ``optimizer.momentum`` is a parameter of that.
    """
    key, equals, value = change.partition("=")
    try:
        path = _path(parse_toml(f"{key} = 0")) if equals else []
    except ValueError:
        path = []
    if not path:
        raise _bad_change(repr(change), "KEY=VALUE as in a study file")
    for depth, name in enumerate(path[:-1], 1):
        if depth == 1 and name in CHOICES and isinstance(data.get(name), str):
            data[name] = {"name": data[name]}
        inner = data.setdefault(name, {})
        if not isinstance(inner, dict):
            field = ".".join(path[:depth])
            raise _bad_change(
                repr(change), f"a field without a dot: {field} = {inner!r} has no fields of its own"
            )
        data = inner
    try:
        found = parse_toml(f"value = {value}")
    except ValueError:
        found = {"value": value.strip()}
    if len(found) != 1:
        raise _bad_change(repr(change), "one field a --set")
    data[path[-1]] = found["value"]
    return path


def _bad_change(got: str, expected: str) -> InputError:
    remedy = "Such as --set epochs=2, or --set 'axes.seed={count=2}'."
    return InputError("--set", got=got, expected=expected, remedy=remedy)


def _path(nested: Any) -> list[str]:
    """Return the names that lead to the one value in nested tables; none if there are several."""
    path = []
    while isinstance(nested, dict):
        if len(nested) != 1:
            return []
        ((name, nested),) = nested.items()
        path.append(name)
    return path


def with_field(text: str, name: str, value: int) -> str:
    """Return a text in TOML with one of its fields set, the rest of it as it is.

    Args:
      text: that can be parsed.
      name: of a field outside all tables.
      value: the field's new value.
    """
    wanted = {**parse_toml(text), name: value}
    line = f"{name} = {value}"
    tried = (
        re.sub(rf"(?m)^{name}\s*=\s*\d+", line, text, count=1),
        re.sub(r"(?m)^(?=\[)", f"{line}\n\n", text, count=1),  # above the first table
        f"{line}\n{text}",
    )
    return next(each for each in tried if _is_toml_of(each, wanted))


def _is_toml_of(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return parse_toml(text) == wanted
    except ValueError:
        return False


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
    if first["type"] == UNUSED:
        said = first.get("ctx", {})
        what = f"{where}, field {said['field']!r}"
        return InputError(what, got=said["got"], expected=said["expected"], remedy=said["remedy"])
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


def check_number(name: str, value: int | float, low: int | float, high: int | float) -> None:
    """Raise InputError unless a number is finite and from low to high, both included."""
    if not low <= value <= high:
        raise InputError(
            name, got=value, expected=f"{low:g} to {high:g}", remedy="Give another number."
        )
