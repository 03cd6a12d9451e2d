"""The command line. Little is imported here: an interrupt may come before the rest is there."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

CONTINUES = "what was finished is saved; the same command continues"
AGAIN_SECONDS = 1.0


def main() -> None:
    """Run the command line: exit code 2 for a user's mistake, 130 and 143 when interrupted."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        signal.signal(signal.SIGINT, _interrupt)
        if sys.unraisablehook is sys.__unraisablehook__:  # no test's
            sys.unraisablehook = _unraisable
        from jax_backprop.cli.failures import explained
        from jax_backprop.cli.streams import careful_streams

        with explained(), careful_streams():
            from jax_backprop.cli.commands import dispatch

            dispatch(sys.argv[1:])
    except KeyboardInterrupt:
        _ignore_signals()
        sys.stderr.write(f"interrupted: {CONTINUES}\n")
        sys.exit(130)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _send_again(number)
    raise KeyboardInterrupt


def _terminate(number: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    sys.stderr.write(f"terminated: {CONTINUES}\n")
    signal.signal(number, _leave)
    _send_again(number)
    sys.exit(143)


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Say nothing of a signal's exception that met a destructor: the signal comes again."""
    if found.exc_type not in (KeyboardInterrupt, SystemExit):
        sys.__unraisablehook__(found)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


def _send_again(number: int) -> None:
    """Repeat a signal whose exception may be lost: Python ignores one that meets a destructor."""
    again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
