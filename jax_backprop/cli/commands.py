"""The commands by name: one file a group of them; importing them imports no jax."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import tyro

from jax_backprop.cli import data
from jax_backprop.cli.boundaries import boundaries
from jax_backprop.cli.check import check
from jax_backprop.cli.console import complain
from jax_backprop.cli.derivation import derive
from jax_backprop.cli.find_rate import find_rate
from jax_backprop.cli.models import evaluate, train
from jax_backprop.cli.new import new
from jax_backprop.cli.prediction import predict
from jax_backprop.cli.reports import report
from jax_backprop.cli.said import check_flags
from jax_backprop.cli.show import compare, show
from jax_backprop.cli.studies import merge, sweep
from jax_backprop.cli.submissions import mark
from jax_backprop.cli.verification import verify
from jax_backprop.errors import DataWarning, unknown_name

Command = Callable[..., None]
COMMANDS: dict[str, Command] = {
    "verify": verify,
    "derive": derive,
    "mark": mark,
    "check": check,
    "find-rate": find_rate,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "new": new,
    "sweep": sweep,
    "merge": merge,
    "boundaries": boundaries,
    "report": report,
    "show": show,
    "compare": compare,
}
GROUPS = {"data": (data.DESCRIPTION, data.COMMANDS)}
DESCRIPTION = """Backpropagation derived by hand, proven against autodiff, and learning-rate studies
of thousands of networks in one compiled program.

Start with: jax-backprop verify, then jax-backprop train --learning-rate 4 --schedule cosine."""


def dispatch(args: list[str]) -> None:
    """Run the command that the arguments name, or list the commands."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("default", DataWarning)
    if args[:1] == ["check"] and args[1:] and os.path.isdir(args[1]):
        args = ["mark", *args[1:]]  # a folder of submissions, rather than one gradient
    if args and args[0] in GROUPS:
        description, commands = GROUPS[args[0]]
        _run(commands, args[1:], f"jax-backprop {args[0]}", description)
    else:
        groups = {name: _first_line(description) for name, (description, _) in GROUPS.items()}
        _run(COMMANDS, args, "jax-backprop", DESCRIPTION, groups)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Say what the user should know of the data in a line; others' warnings as Python does."""
    if issubclass(category, DataWarning):
        complain(f"note: {message}")
    else:
        complain(warnings.formatwarning(message, category, *where[:2]).strip())


def _run(
    commands: Mapping[str, Command],
    args: list[str],
    prog: str,
    description: str,
    groups: Mapping[str, Command] = MappingProxyType({}),
) -> None:
    """Run the command that the arguments begin with, or list the commands."""
    if args and args[0] in commands:
        check_flags(args[0], commands[args[0]], args[1:])
        tyro.cli(commands[args[0]], prog=f"{prog} {args[0]}", args=args[1:])
        return
    if args and not args[0].startswith("-"):
        raise unknown_name("command", args[0], [*commands, *groups])
    # The list shows the first line of each command; its own --help shows the whole.
    listed = {name: _first_line(command.__doc__) for name, command in commands.items()}
    tyro.extras.subcommand_cli_from_dict(
        {**listed, **groups}, prog=prog, description=description, args=args or ["--help"]
    )


def _first_line(text: str | None) -> Command:
    def stub() -> None: ...

    stub.__doc__ = (text or "").partition("\n")[0]
    return stub
