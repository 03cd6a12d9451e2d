"""One error for every mistake of a user's: what was got, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

# What a terminal obeys instead of showing, and what turns the direction of writing.
_OBEYED = [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_NUMBERED = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _OBEYED}
del _NUMBERED[ord("\n")]


def printable(text: str) -> str:
    r"""Return a text, lines and all, with the number of each character that a terminal obeys.

    Example:
      >>> printable("red\x1b[31m")
      'red\\x1b[31m'
    """
    return text.translate(_NUMBERED)


class InputError(ValueError):
    """Something given by the user can't be used; the command line prints it and exits with 2.

    Args:
      what: the thing that was given, in a few words.
      got: the value.
      expected: what would be right.
      remedy: what to do, as a sentence.

    Example:
      >>> import jax_backprop as jb
      >>> raise jb.InputError("rate", got=-1, expected="0 or more", remedy="Give another.")
      Traceback (most recent call last):
      jax_backprop.errors.InputError: rate: got -1; expected 0 or more. Give another.
    """

    def __init__(self, what: str, *, got: object, expected: str, remedy: str) -> None:
        super().__init__(f"{what}: got {got}; expected {expected}. {remedy}")

    def __reduce__(self) -> tuple[Callable[..., InputError], tuple[object, ...]]:
        """Tell pickle what another process raises: the same text."""
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[InputError], args: tuple[object, ...], fields: Mapping[str, object]
) -> InputError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class DataWarning(UserWarning):
    """Something in the data that can be used and that the user should know of."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known name, or lists them all.

    Example:
      >>> did_you_mean("cosin", ["constant", "cosine"])
      "Did you mean 'cosine'?"
    """
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
