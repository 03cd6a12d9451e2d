"""The command line: one room a group of commands; importing it imports no jax."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

import tyro

from jax_backprop.cli.check import check
from jax_backprop.cli.models import evaluate, train
from jax_backprop.cli.prediction import predict
from jax_backprop.cli.studies import report, sweep
from jax_backprop.cli.verification import verify
from jax_backprop.errors import InputError, unknown_name

COMMANDS: dict[str, Callable[..., None]] = {
    "verify": verify,
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "sweep": sweep,
    "report": report,
}
DESCRIPTION = """Backpropagation derived by hand, proven against autodiff, and learning-rate studies
of thousands of networks in one compiled program.

Start with: jax-backprop verify, then jax-backprop train --learning-rate 4 --schedule cosine."""


def main() -> None:
    """Run the command line: exit code 2 for a user's mistake, 130 and 143 when interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _dispatch(sys.argv[1:])
    except InputError as error:
        _complain(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        _complain("interrupted: what was finished is saved; the same command continues")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing is left to say
        sys.exit(141)


def _dispatch(args: list[str]) -> None:
    if args and args[0] in COMMANDS:
        tyro.cli(COMMANDS[args[0]], prog=f"jax-backprop {args[0]}", args=args[1:])
        return
    if args and not args[0].startswith("-"):
        raise unknown_name("command", args[0], COMMANDS)
    # The list shows the first line of each command; its own --help shows the whole.
    listed = {name: _first_line(command) for name, command in COMMANDS.items()}
    tyro.extras.subcommand_cli_from_dict(
        listed, prog="jax-backprop", description=DESCRIPTION, args=args or ["--help"]
    )


def _first_line(command: Callable[..., None]) -> Callable[[], None]:
    def stub() -> None: ...

    stub.__doc__ = (command.__doc__ or "").partition("\n")[0]
    return stub


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    _complain("terminated: what was finished is saved; the same command continues")
    sys.exit(143)


def _complain(message: str) -> None:
    sys.stderr.write(message + "\n")
