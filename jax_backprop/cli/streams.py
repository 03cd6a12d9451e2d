"""Standard output and error that never end a command by a traceback.

A reader that goes away (``| head -1``) ends what is printed, not what is computed. A character that
the terminal's encoding lacks is written as its number. A full disk is the user's to mend.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from jax_backprop.errors import InputError, printable
from jax_backprop.storage import silence

NAMES = {1: "standard output", 2: "standard error"}


def wrapped(line: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text for people, at most so wide: names and paths stay whole."""
    return textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def fitted(text: str, stream: Any) -> list[str]:
    """Return the lines of a text: wrapped for a terminal, and where COLUMNS gives a width."""
    lines = text.split("\n")
    if not (stream.isatty() or "COLUMNS" in os.environ):
        return lines
    width = shutil.get_terminal_size().columns
    return [part for line in lines for part in wrapped(line, width)]


def complain(text: str) -> None:
    """Write a text to standard error: a line, or wrapped between words where there is a width."""
    sys.stderr.write("\n".join(fitted(printable(text), sys.stderr)) + "\n")


class _Stream(io.RawIOBase):
    """Bytes to a descriptor, or to nowhere once nobody takes them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: Any) -> int:
        """Write what the system takes at once; return how much that was."""
        try:
            return os.write(self._descriptor, data)
        except BrokenPipeError:
            silence(self._descriptor)
            return len(data)
        except OSError as error:
            silence(self._descriptor)
            raise InputError(
                NAMES[self._descriptor],
                got=error.strerror or error,
                expected="a place that takes what is printed",
                remedy="Free the space, or send it elsewhere.",
            ) from None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


@contextlib.contextmanager
def careful_streams() -> Iterator[None]:
    """Write standard output and error with care until the command ends, and flush them then."""
    before = sys.stdout, sys.stderr
    if sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__:  # no test's
        sys.stdout, sys.stderr = _careful(1, before[0]), _careful(2, before[1])
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _careful(descriptor: int, stream: Any) -> io.TextIOWrapper:
    """Return a stream like another; one that was closed before Python began leads to nowhere."""
    if stream is None:
        silence(descriptor)
    buffered = io.BufferedWriter(_Stream(descriptor))
    return io.TextIOWrapper(
        buffered,
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=descriptor == 2 or os.isatty(descriptor),
    )
