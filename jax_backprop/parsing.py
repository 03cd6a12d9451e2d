"""From files and command lines to checked settings, with errors that name the field."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import ValidationError

from jax_backprop.errors import InputError, did_you_mean, shown
from jax_backprop.fields import UNUSED, Settings
from jax_backprop.importing import FORM, PATH
from jax_backprop.reading import parse_toml, read_toml
from jax_backprop.study_file import CHOICES, Study

MOST_SEED = 2**31 - 1
# pydantic's complaints in plain words, by its name for them.
PLAIN = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "finite_number": "a finite number",
    "too_short": "{min_length} or more items",
    "too_long": "{max_length} or fewer items",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list in brackets"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a table of fields"),
    "string_pattern_mismatch": "a text of the form {pattern}",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
}
_Model = TypeVar("_Model", bound=Settings)
_Chosen = TypeVar("_Chosen")


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


def parse(
    model: type[_Model], data: dict[str, Any], where: str, typed: Mapping[str, str] | None = None
) -> _Model:
    """Check plain data against a model, or raise InputError naming the field and the nearest name.

    Goes through JSON, so that lists (TOML, JSON) and tuples agree under strict types.

    Args:
      model, data: what is asked for, and what was given.
      where: it was given.
      typed: what stands for a field where it was given, if that isn't its name: such as a flag.
    """
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise explain(error, model, where, typed) from None


def explain(
    error: ValidationError,
    model: type[Settings],
    where: str,
    typed: Mapping[str, str] | None = None,
) -> InputError:
    """Turn pydantic's first complaint into the project's one-paragraph error."""
    first = error.errors()[0]
    loc, kind, context = list(first["loc"]), first["type"], first.get("ctx", {})
    if kind == UNUSED and context["field"]:
        loc.append(context["field"])
    names = [str(part) for part in loc]
    if names[1:] and names[-1] == "name":
        names.pop()  # a choice is given by its name alone
    field = ".".join(names)
    what = f"{where}, field {field!r}" if field else where
    if typed is not None and field:
        what = _typed([part for part in names if not part.isdigit()][-1], typed)
    got, remedy = shown(first["input"]), "Change that value."
    if kind == UNUSED:
        got, expected, remedy = (context[each] for each in ("got", "expected", "remedy"))
    elif kind == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        what, got = f"{where}, unknown field {field!r}", f"{loc[-1]} = {got}"
        expected, remedy = f"one of {', '.join(known)}", did_you_mean(str(loc[-1]), known)
    elif kind == "missing":
        what, got, expected, remedy = where, f"no field {field!r}", "a value for it", "Add it."
    elif kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context["expected"]))
        expected, remedy = f"one of {', '.join(known)}", did_you_mean(str(first["input"]), known)
    elif kind in PLAIN:
        told = {name: FORM if each == PATH else _short(each) for name, each in context.items()}
        expected = PLAIN[kind].format(**told)
    else:
        message = first["msg"].removeprefix("Value error, ")
        expected = message[0].lower() + message[1:]
    if typed is not None:
        got, expected, remedy = (_in_words(each, typed) for each in (got, expected, remedy))
    return InputError(what, got=got, expected=expected, remedy=remedy)


def _typed(name: str, typed: Mapping[str, str]) -> str:
    return typed.get(name, name)


def _in_words(text: str, typed: Mapping[str, str]) -> str:
    """Return a sentence in which the fields are called as they were typed."""
    return re.sub(r"\b\w+_\w+\b", lambda found: _typed(found[0], typed), text)


def _short(number: Any) -> Any:
    return f"{number:g}" if isinstance(number, float) else number


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


def choice_of(field: str, value: str | _Chosen) -> _Chosen:
    """Return a choice that is given by its name as its model; anything else as it is.

    Raises InputError for a name that isn't known.
    """
    if not isinstance(value, str):
        return value
    model = CHOICES[field][0]
    try:
        return cast(_Chosen, model.model_validate({"name": value}))
    except ValidationError as error:
        raise explain(error, model, field, {"name": field}) from None


def is_number(value: object) -> bool:
    """Tell whether something is a real number, which a truth value isn't."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_number(
    name: str, value: object, low: int | float, high: int | float, *, whole: bool = False
) -> None:
    """Raise InputError unless a value is a number from low to high, both included.

    Args:
      name: of what it is.
      value, low, high: it is finite, as both ends are.
      whole: whether it has to be a whole one.
    """
    fits = is_number(value) and (isinstance(value, Integral) or not whole)
    if not fits or not low <= value <= high:  # pyright: ignore[reportOperatorIssue]
        raise InputError(
            name,
            got=value if is_number(value) else shown(value),
            expected=f"a {'whole ' if whole else ''}number, {low:.9g} to {high:.9g}",
            remedy="Give another number.",
        )
