"""What a command line says is done: a flag that would not be used is refused by its name."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Sequence

import tyro

from jax_backprop.cli.flags import TYPED
from jax_backprop.cli.refusals import flags_of, unknown_flag
from jax_backprop.errors import InputError
from jax_backprop.settings import OF_NETWORK

OWN = tuple(TYPED[name] for name in OF_NETWORK)
ITS_OWN = "That network has its own."
# Of each command: flags that it doesn't use beside another one ("with"), or without any of several
# ("without"), and why.
UNUSED: dict[str, list[tuple[str, tuple[str, ...], tuple[str, ...], str]]] = {
    "train": [("with", ("--network",), OWN, ITS_OWN)],
    "find-rate": [("with", ("--network",), (*OWN, "--proxy-width"), ITS_OWN)],
    "predict": [
        ("with", ("--inputs",), ("--split", "--data-dir"), "A file's rows are no split of a set.")
    ],
    "sweep": [
        (
            "with",
            ("--tune-width",),
            (
                *("--dry-run", "--out", "--new", "--set-aside", "--part", "--tile-width"),
                *("--widen", "--json-progress", "--cluster"),
            ),
            "It measures tile widths and runs no study: run that afterwards.",
        ),
        (
            "with",
            ("--dry-run",),
            ("--json-progress", "--widen", "--cluster", "--out", "--new", "--set-aside"),
            "It shows a table of the file, and writes nothing.",
        ),
        ("without", ("--cluster",), ("--jobs",), "They are asked of Slurm: --cluster slurm."),
        ("with", ("--new",), ("--set-aside",), "A new folder holds nothing to set aside."),
        ("with", ("--part",), ("--widen",), "A share doesn't see where the optimum is."),
    ],
    "boundaries": [
        ("without", ("--cluster",), ("--jobs",), "They are asked of Slurm: --cluster slurm.")
    ],
    "verify": [
        (
            "without",
            ("--layer-sizes",),
            ("--activation", "--loss", "--batch-size"),
            "They are of the one network that --layer-sizes names.",
        )
    ],
    "derive": [
        (
            "without",
            ("--example", "--out"),
            ("--layer-sizes", "--learning-rate", "--seed"),
            "They are of the worked example: add --example.",
        )
    ],
    "mark": [
        (
            "with",
            ("--hand-out",),
            ("--out", "--trusted", "--jobs"),
            "It writes a problem and marks nothing.",
        ),
        ("without", ("--hand-out",), ("--student",), "Each submission's name tells its student."),
    ],
}

# Of each command: flags that one may look for, and why it has none.
LACKING = {
    "find-rate": {
        "--learning-rate": "It is what is found: --low and --high bound it.",
        "--eval-every": "Each trial is judged at its end.",
    }
}


def check_flags(prog: str, command: Callable[..., object], args: Sequence[str]) -> None:
    """Raise InputError for a flag that is unknown, given twice, or not used beside others."""
    before = args[: args.index("--")] if "--" in args else args
    flags = [each.partition("=")[0].replace("_", "-") for each in before if each.startswith("--")]
    hints = flags_of(command)
    name = prog.partition(" ")[2]
    known = {*hints, *(each.replace("--", "--no-", 1) for each in hints), "--help"}
    for flag in flags:
        if flag not in known:
            raise unknown_flag(prog, command, flag, LACKING.get(name, {}))
    times = Counter(each.replace("--no-", "--", 1) for each in flags)
    for flag, count in times.items():
        if count > 1 and tyro.conf.UseAppendAction not in typing.get_args(hints.get(flag)):
            raise InputError(
                flag, got=f"it {count} times", expected="each flag once", remedy="Leave one out."
            )
    for kind, others, unused, why in UNUSED.get(name, []):
        found = [other for other in others if other in flags]
        for flag in unused if bool(found) == (kind == "with") else ():
            if flag in flags:
                beside = f"{kind} {' or '.join(found or others)}"
                raise InputError(
                    flag, got=f"it {beside}", expected=f"no {flag} {beside}", remedy=why
                )
