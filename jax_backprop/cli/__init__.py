"""The command line. Little is imported here: an interrupt may come before the rest is there."""

from __future__ import annotations

import signal
import sys
from types import FrameType

CONTINUES = "what was finished is saved; the same command continues"


def main() -> None:
    """Run the command line: exit code 2 for a user's mistake, 130 and 143 when interrupted."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        from jax_backprop.cli.failures import explained
        from jax_backprop.cli.streams import careful_streams

        with explained(), careful_streams():
            from jax_backprop.cli.commands import dispatch

            dispatch(sys.argv[1:])
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        sys.stderr.write(f"interrupted: {CONTINUES}\n")
        sys.exit(130)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    sys.stderr.write(f"terminated: {CONTINUES}\n")
    sys.exit(143)
