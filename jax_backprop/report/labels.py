"""Names of series as charts have room for them: what all share stands once, in the title."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from jax_backprop.study_file import CHOICES

PART = re.compile(r"(?:([\w.]+)=)?([^=,()]+(?:\([^()]*\))?)")
BETWEEN = re.compile(r", (?![^()]*\))")  # parts: no comma within parentheses


class Labels(NamedTuple):
    """What stands for each series, and what its parts are, in words.

    Example:
      >>> labels(["width=8, l2=0", "width=16, l2=0"])
      Labels(title='width', of={'width=8, l2=0': '8', 'width=16, l2=0': '16'})
    """

    title: str
    of: dict[str, str]


def labels(names: Sequence[str]) -> Labels:
    """Return a label for each name: where all are of the same axes, the values that differ."""
    parts = [[PART.fullmatch(part) for part in BETWEEN.split(name)] for name in names]
    axes = {tuple(part[1] if part else None for part in each) for each in parts}
    known = next(iter(axes)) if len(axes) == 1 else ()
    if not any(known) or not all(part for each in parts for part in each):
        return Labels("", {name: name for name in names})
    differ = [len({part[2] for part in column if part}) > 1 for column in zip(*parts, strict=True)]
    kept = [n for n, each in enumerate(differ) if each] or list(range(len(known)))
    parts = [[each[n] for n in kept] for each in parts]
    for shown in (_rounded, str):
        short = [", ".join(shown(part[2]) for part in each if part) for each in parts]
        if len(set(short)) == len(set(names)):
            break
    else:
        return Labels("", {name: name for name in names})
    axes = [known[n] or _choice(part[2]) for n, part in zip(kept, parts[0], strict=True) if part]
    title = ", ".join(axis.replace("_", " ") for axis in axes)
    return Labels(title, dict(zip(names, short, strict=True)))


def _choice(value: str) -> str:
    """Return of which choice a name without its axis is: an optimizer, a schedule ..."""
    name = value.partition("(")[0]
    return next((axis for axis, (_, named) in CHOICES.items() if name in named), "schedule")


def _rounded(value: str) -> str:
    """Return a number to three digits, and any other text as it is."""
    try:
        return f"{float(value):.3g}" if "." in value or "e" in value else value
    except ValueError:
        return value
