"""One error for every mistake of a user's: what was got, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something given by the user can't be used; the command line prints it and exits with 2."""

    def __init__(self, what: str, *, got: object, expected: str, remedy: str) -> None:
        super().__init__(f"{what}: got {got}; expected {expected}. {remedy}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known name, or lists them all."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Choose one of: {', '.join(names)}."


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for a name that isn't one of the known ones."""
    names = list(known)
    return InputError(
        f"unknown {what}",
        got=repr(name),
        expected=f"one of {', '.join(names)}",
        remedy=did_you_mean(name, names),
    )
