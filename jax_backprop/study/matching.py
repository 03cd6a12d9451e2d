"""A series known by its settings as data: which series of two studies are the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jax_backprop.study.series import plain_value
from jax_backprop.study.summary import Summary
from jax_backprop.study_file import CHOICES

Settings = frozenset[tuple[str, Any]]


def settings_by_series(summary: Summary, axes: Iterable[str]) -> dict[str, Settings]:
    """Return each series' values of these axes, in the order of the study.

    A value that no axis of this study changes is the one that the whole study has. A choice, such
    as the schedule, is known by its name and all its parameters.
    """
    cells, identity = summary.cells, summary.manifest["identity"]
    rooms = {name.partition(".")[0] for name in axes}
    names = {*axes, *(c for c in cells if c.partition(".")[0] in rooms & {*CHOICES})}
    first = cells.drop_duplicates("series").set_index("series")
    shared = {name: plain_value(identity.get(name)) for name in names if name not in cells}
    found = {}
    for series, row in first.iterrows():
        values = shared | {name: plain_value(row[name]) for name in names if name in cells}
        found[str(series)] = frozenset(pair for pair in values.items() if pair[1] is not None)
    return found
