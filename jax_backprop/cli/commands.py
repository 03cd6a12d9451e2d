"""The commands by name: one file a group of them; importing them imports no jax."""

from __future__ import annotations

import functools
import inspect
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from jax_backprop import __version__
from jax_backprop.cli import data
from jax_backprop.cli.boundaries import boundaries
from jax_backprop.cli.check import check
from jax_backprop.cli.console import complain
from jax_backprop.cli.derivation import derive
from jax_backprop.cli.export import export
from jax_backprop.cli.find_rate import find_rate
from jax_backprop.cli.help import ABOUT, COMPLETION, CONFIG, complete, explain, listed
from jax_backprop.cli.learn import learn
from jax_backprop.cli.models import evaluate, train
from jax_backprop.cli.new import new
from jax_backprop.cli.prediction import predict
from jax_backprop.cli.refusals import in_one_voice
from jax_backprop.cli.reports import report
from jax_backprop.cli.said import check_flags
from jax_backprop.cli.show import compare, show
from jax_backprop.cli.studies import merge, sweep
from jax_backprop.cli.submissions import mark
from jax_backprop.cli.verification import verify
from jax_backprop.errors import DataWarning, InputError, unknown_name

PROG = "jax-backprop"


class Command(NamedTuple):
    """A command.

    Args:
      run: what runs; a text that it returns is added to the line that comes next.
      example: a line to try.
      then: the line that comes next (see ``_next``).
      reads: the arguments that name folders, which are looked for before anything is imported.
    """

    run: Callable[..., object]
    example: str
    then: str = ""
    reads: tuple[str, ...] = ()


GROUPS: dict[str, dict[str, Command]] = {
    "gradients": {
        "verify": Command(verify, "verify --layer-sizes 5 5 3", "derive"),
        "derive": Command(derive, "derive --example", "derive --out PAGE.html"),
        "check": Command(
            check, "check my_module:loss my_module:gradient --example my_module:point"
        ),
        "mark": Command(mark, "mark submissions --out marks"),
    },
    "one network": {
        "find-rate": Command(find_rate, "find-rate --hidden 32 --batch-size 32 --epochs 20"),
        "train": Command(
            train,
            "train --learning-rate 4 --schedule cosine --batch-size 32 --out model",
            "evaluate {out}",
        ),
        "evaluate": Command(evaluate, "evaluate model", "predict {model}", ("model",)),
        "predict": Command(predict, "predict model --out predictions.csv", "", ("model",)),
    },
    "studies": {
        "new": Command(new, "new my_study", "sweep {folder}/study.toml --dry-run"),
        "sweep": Command(
            sweep, "sweep my_study/study.toml --out results --set epochs=20", "report {out}"
        ),
        "merge": Command(merge, "merge whole share-1 share-2", "report {out}"),
        "boundaries": Command(
            boundaries, "boundaries my_study/study.toml --out results", "report {out}"
        ),
        "show": Command(show, "show results", "report {folder}", ("folder",)),
        "learn": Command(learn, "learn lesson", "derive --out PAGE.html"),
        "report": Command(report, "report results", "compare {folder} OTHER", ("folder",)),
        "compare": Command(
            compare, "compare results others", "report {first} {second}", ("first", "second")
        ),
        "export": Command(export, "export results --to csv", "", ("folder",)),
    },
    "data": {
        "data list": Command(data.list_, "data list", "data info digits"),
        "data info": Command(data.info, "data info digits", "train --dataset {name}"),
        "data prepare": Command(data.prepare, "data prepare mnist", "data info {name}"),
        "data verify": Command(data.verify, "data verify", "data list"),
    },
}
COMMANDS = {name: each for group in GROUPS.values() for name, each in group.items()}
# Commands that were, or that one may look for, and what does it now.
MOVED = dict.fromkeys(
    ("edge", "map", "no-rate"),
    "`jax-backprop sweep STUDY.toml --out DIR` runs any study, and `jax-backprop report DIR` shows "
    "what it holds.",
)


def dispatch(args: Sequence[str]) -> None:
    """Run the command that the arguments name, or list the commands."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("default", DataWarning)
    name, rest = _named(args)
    if name is None:
        return
    command, prog = COMMANDS[name], f"{PROG} {name}"
    if {"-h", "--help"} & set(rest):
        return explain(command.run, prog, command.example)
    check_flags(prog, command.run, rest)
    with in_one_voice(prog, command.run, f"{PROG} {command.example}"):
        return tyro.cli(_continued(command), prog=prog, args=list(rest), config=CONFIG)


def _named(args: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the name of a command and its arguments; None where all is said without one."""
    first, *rest = args or ["--help"]
    if first == "help":
        first, *rest = *rest, "--help"
    if first == "check" and rest and os.path.isdir(rest[0]):
        return "mark", rest  # a folder of submissions, rather than one gradient
    if first == "data":
        second, *rest = rest or ["--help"]
        first = f"data {second}"
    if first in COMMANDS:
        return first, rest
    if not _said(first, rest):
        raise _unknown(first)
    return None, []


def _said(first: str, rest: Sequence[str]) -> bool:
    """Say what is asked for without a command; return whether anything is."""
    if first in ("--version", "-V"):
        sys.stdout.write(f"{PROG} {__version__}\n")
    elif first in ("-h", "--help"):
        sys.stdout.write(listed(PROG, ABOUT, _first_lines()))
    elif first in ("data -h", "data --help"):
        sys.stdout.write(listed(f"{PROG} data", data.DESCRIPTION, {"data": _first_lines()["data"]}))
    elif first in COMPLETION:
        complete(PROG, {name: each.run for name, each in COMMANDS.items()}, [first, *rest])
    else:
        return False
    return True


def _unknown(first: str) -> InputError:
    if first.startswith("-"):
        help_ = f"`{PROG} --help` lists them."
        return InputError(f"flag {first}", got="no command", expected="one before it", remedy=help_)
    if first in MOVED:
        return InputError("command", got=first, expected="one that there is", remedy=MOVED[first])
    if first.startswith("data "):
        names = [name.partition(" ")[2] for name in GROUPS["data"]]
        return unknown_name(f"command of `{PROG} data`", first[5:], names)
    return unknown_name("command", first, [*(n for n in COMMANDS if " " not in n), "data"])


def _first_lines() -> dict[str, dict[str, str]]:
    return {
        group: {name: (each.run.__doc__ or "").partition("\n")[0] for name, each in those.items()}
        for group, those in GROUPS.items()
    }


def _continued(command: Command) -> Callable[..., None]:
    """Return a command that looks for its folders first, and says at its end which comes next."""

    @functools.wraps(command.run)
    def run(*args: Any, **given: Any) -> None:
        said = inspect.signature(command.run).bind(*args, **given).arguments
        for name in command.reads:
            _check_there(said[name], "model" if name == "model" else "results")
        needed = command.run(*args, **given)
        if line := _next(command.then, said):
            complain(f"next: {PROG} {line}{needed or ''}")

    return run


def _check_there(folder: Path, kind: str) -> None:
    if not folder.exists():
        maker = f"{PROG} {'train' if kind == 'model' else 'sweep'} --out"
        raise InputError(
            f"{kind} folder",
            got=f"{folder}, which isn't there",
            expected=f"a folder that `{maker}` wrote",
            remedy="Check its name.",
        )


def _next(then: str, said: Mapping[str, Any]) -> str:
    """Return the line that comes next, its names in braces replaced by what was said."""
    values = {name: shlex.quote(str(each)) for name, each in said.items() if each is not None}
    if said.get("dry_run") or said.get("tune_width"):
        return f"sweep {values['study']} {'--out DIR' if said.get('dry_run') else '--dry-run'}"
    if said.get("part"):
        return "merge DIR SHARE-1 SHARE-2 ..."
    if said.get("other"):
        return ""
    if said.get("new"):
        values["out"] = values["new"]
    return then.format_map(values) if set(re.findall(r"{(\w+)}", then)) <= set(values) else ""


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Say what the user should know of the data in a line; others' warnings as Python does."""
    if issubclass(category, DataWarning):
        complain(f"note: {message}")
    else:
        complain(warnings.formatwarning(message, category, *where[:2]).strip())
