"""What tyro refuses of a command line, in the project's one voice."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from jax_backprop.errors import InputError, nearest, shown

KINDS = {"INT": "a whole number", "FLOAT": "a number"}


@contextlib.contextmanager
def in_one_voice(prog: str, command: Callable[..., object], example: str) -> Iterator[None]:
    """Raise InputError for what tyro would refuse in a box, where its hook for that is there."""
    try:
        from tyro import _errors  # private and new: an older tyro keeps its boxes
    except ImportError:
        yield
        return

    def refuse(event: Any) -> None:
        kind = type(event).__name__
        help_ = f"`{prog} --help` explains each."
        strange = getattr(event, "tokens", None) or getattr(event, "unrecognized_tokens", None)
        if strange:
            raise _strange(prog, command, str(strange[0]), help_)
        if kind == "MissingArgs":
            missing = [each.arg for each in event.missing_arguments]
            raise InputError(
                prog,
                got=f"no {' and no '.join(_called(each) for each in missing)}",
                expected=" ".join(_form(each) for each in missing),
                remedy=f"Such as: {example}",
            )
        if kind == "BadValue":
            raise InputError(
                _called(event.argument),
                got="nothing after it",
                expected=_values(event.argument),
                remedy=help_,
            )
        if kind == "InstantiationFailure" and event.argument is not None:
            raise InputError(
                _called(event.argument),
                got=event.message.rpartition(": ")[2],
                expected=_values(event.argument),
                remedy="Change that value.",
            )

    with _errors.on_parse_error(refuse):
        yield


def flags_of(command: Callable[..., object]) -> dict[str, Any]:
    """Return a command's flags, with the annotation of each."""
    flags = {}
    for parameter, hint in typing.get_type_hints(command, include_extras=True).items():
        marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
        named = [mark.name for mark in marks if getattr(mark, "name", None)]
        if parameter != "return" and not any("Positional" in repr(mark) for mark in marks):
            flags["--" + (named[0] if named else parameter).replace("_", "-")] = hint
    return flags


def unknown_flag(
    prog: str,
    command: Callable[..., object],
    flag: str,
    lacking: Mapping[str, str] = MappingProxyType({}),
) -> InputError:
    """Build the error for a flag that a command doesn't have, naming the nearest.

    Args:
      prog, command, flag: the command and what was typed after it.
      lacking: the flags that it lacks on purpose, and why.
    """
    found = nearest(flag, [*flags_of(command), *lacking, "--help"])
    if found is not None and found in lacking:
        return InputError(
            flag, got=f"it after {prog}", expected=f"no {found} here", remedy=lacking[found]
        )
    help_ = f"`{prog} --help` lists them."
    return InputError(
        f"unknown flag {flag}",
        got=f"it after {prog}",
        expected="a flag of this command",
        remedy=f"Did you mean {found}? {help_}" if found else help_,
    )


def _strange(prog: str, command: Callable[..., object], token: str, help_: str) -> InputError:
    if token.startswith("-"):
        return unknown_flag(prog, command, token.partition("=")[0])
    return InputError(
        prog,
        got=f"{shown(token)}, a word too many",
        expected="flags, each with its value",
        remedy=help_,
    )


def _called(argument: Any) -> str:
    return str(argument.lowered.metavar if argument.is_positional() else argument.display_name())


def _form(argument: Any) -> str:
    metavar = str(argument.lowered.metavar)
    return metavar if argument.is_positional() else f"{_called(argument)} {metavar}"


def _values(argument: Any) -> str:
    """Return in words what stands after a flag."""
    metavar = str(argument.lowered.metavar)
    inner = metavar.strip("[]. ").removesuffix(" ...")
    first = inner.split(" ")[0]
    several = "..." in metavar
    if first in KINDS:
        return f"{KINDS[first]}{', or several' if several else ''}"
    return f"one of {metavar.strip('{}').replace(',', ', ')}" if metavar[0] == "{" else metavar
