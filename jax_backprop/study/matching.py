"""A series known by its settings as data: which series of two studies are the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

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
    shared = {name: _plain(identity.get(name)) for name in names if name not in cells}
    found = {}
    for series, row in first.iterrows():
        values = shared | {name: _plain(row[name]) for name in names if name in cells}
        found[str(series)] = frozenset(pair for pair in values.items() if pair[1] is not None)
    return found


def _plain(value: Any) -> Any:
    """Return a value of a table or of a manifest as one that can be compared: lists as tuples."""
    if isinstance(value, dict):
        return tuple(sorted((key, _plain(each)) for key, each in value.items()))
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(_plain(each) for each in value)
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
