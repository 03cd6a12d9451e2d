"""Help at the terminal's width: the list of commands, a command's page, completion by a shell."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import tyro

from jax_backprop.cli.streams import wrapped

CONFIG = (tyro.conf.FlagCreatePairsOff,)
COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")
ABOUT = (
    "Backpropagation derived by hand, proven against autodiff, and learning-rate studies of "
    "thousands of networks in one compiled program."
)
START = """Start with `jax-backprop verify`, then `jax-backprop train --learning-rate 4`.
`jax-backprop COMMAND --help` explains a command and shows an example.
Completion: `eval "$(jax-backprop --tyro-print-completion bash)"` (or zsh, tcsh).
NO_COLOR=1 leaves out colours; COLUMNS sets the width where the output is no terminal.
Exit codes: 0 right, 1 wrong or damaged, 2 a mistake in what was given, 130 and 143 interrupted."""


def listed(prog: str, about: str, groups: Mapping[str, Mapping[str, str]]) -> str:
    """Return the commands of some groups, a line each."""
    lines = [f"usage: {prog} COMMAND ...", "", about, ""]
    for group, commands in groups.items():
        lines += [group, *(f"  {name:<13} {text}" for name, text in commands.items()), ""]
    return _wrapped("\n".join([*lines, START, ""]))


def explain(run: Callable[..., object], prog: str, example: str) -> None:
    """Print a command's help: tyro's, and an example."""
    found = io.StringIO()
    with contextlib.redirect_stdout(found), contextlib.suppress(SystemExit):
        tyro.cli(run, prog=prog, args=["--help"], config=CONFIG)
    text = re.sub(r"\n{3,}", "\n\n", found.getvalue())
    text = re.sub(r"\s*\(default:\s+(None)?\)", "", text)  # nothing is no default
    sys.stdout.write(_wrapped(f"{text}\nexample: jax-backprop {example}\n"))


def complete(prog: str, runs: Mapping[str, Callable[..., object]], args: Sequence[str]) -> None:
    """Print or write a script by which a shell completes command lines: tyro's own."""
    plain = {name: run for name, run in runs.items() if " " not in name}
    tyro.extras.subcommand_cli_from_dict(
        {**plain, "data": _data}, prog=prog, args=list(args), config=CONFIG
    )


def _data(command: Literal["list", "info", "prepare", "verify"], /) -> None:
    """Prepare, list, describe and verify data sets."""


def _wrapped(text: str) -> str:
    """Wrap lines that are wider than the terminal, below their text where they have two columns."""
    width = max(40, shutil.get_terminal_size().columns)
    lines = []
    for line in map(str.rstrip, text.split("\n")):
        start = re.match(r" *(\S+( \S+)? {2,})?", line)
        indent = " " * len(start[0]) if start else ""
        lines += wrapped(line, width, indent)
    return "\n".join(lines)
