"""The essence of a study's folder, finished or not, of a dozen cells or of a million."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jax_backprop.engine.store import load_study, load_table, read_manifest
from jax_backprop.settings import REPLICATES
from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.rows import Contrast
from jax_backprop.study.sensitivity import Sensitivity
from jax_backprop.study.series import setting_text, value_text
from jax_backprop.study.summary import Summary, axis_order, summary_of_tables
from jax_backprop.study.tuned import against_control, sensitivities
from jax_backprop.study_file import CHOICES

MOST_SERIES = 10_000  # with more they are counted, not listed


class Axis(NamedTuple):
    """What was tried along one axis.

    Args:
      values: how many different ones there are.
      least, largest: of numbers; None of others.
      labels: of values that aren't numbers; [] of numbers.
    """

    name: str
    values: int
    least: float | None
    largest: float | None
    labels: list[str]


class Overview(NamedTuple):
    """What there is of a study.

    Args:
      manifest: study.json.
      done, planned: cells, of this folder's share if it has one only a part of the study.
      axes: in the order of the study file; [] before the first cell is finished.
      diverged: how many of the cells that are done ended above their start.
      best: the cell with the least validation loss (its axes, losses and accuracies); {} if none.
      summary: by series and rate; None where nothing is done, or the series are too many to list.
      contrasts: each series against the control.
      sensitivities: of each series to the rate.
      cells: a row a cell; None where nothing is done.
    """

    manifest: dict[str, Any]
    done: int
    planned: int
    axes: list[Axis]
    diverged: int
    best: dict[str, Any]
    summary: Summary | None
    contrasts: list[Contrast]
    sensitivities: dict[str, Sensitivity]
    cells: pa.Table | None


def overview(folder: Path) -> Overview:
    """Read what there is of a study. Raises InputError if the folder holds none."""
    manifest = read_manifest(folder)
    planned = sum(generation["cells"] for generation in manifest["generations"])
    if not any(name.startswith("cells/") for name in manifest["parts"]):
        return Overview(manifest, 0, planned, [], 0, {}, None, [], {}, None)
    table = load_study(folder).unify_dictionaries()  # each part has its own list of labels
    names = axis_order(manifest)
    listed = [name for name in names if name not in ("learning_rate", *REPLICATES)]
    summary = None
    if _combinations(table, listed) <= MOST_SERIES:
        summary = summary_of_tables(manifest, table, load_table(folder, "curves"))
    has_rates = summary is not None and "learning_rate" in names
    return Overview(
        manifest,
        table.num_rows,
        planned,
        [axis_of(name, table[name], summary) for name in names],
        _diverged(table),
        _best(table, names),
        summary,
        against_control(summary) if summary is not None else [],
        sensitivities(summary) if summary is not None and has_rates else {},
        table,
    )


def axis_of(name: str, column: pa.ChunkedArray, summary: Summary | None) -> Axis:
    """Return what was tried along an axis."""
    if name in CHOICES and summary is not None:  # those of one name differ in their parameters
        settings = summary.settings.values()
        shown = list(dict.fromkeys(setting_text(each, name) for each in settings))
        return Axis(name, len(shown), None, None, shown)
    values = list(dict.fromkeys(_plain(column)))
    if all(isinstance(value, int | float) and not math.isnan(value) for value in values):
        return Axis(name, len(values), min(values), max(values), [])
    return Axis(name, len(values), None, None, list(map(value_text, values)))


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values, lists as tuples and NaN as one value."""
    is_list = pa.types.is_list(column.type)
    values = column.to_pylist() if is_list else column.unique().to_pylist()
    return [
        tuple(v)
        if isinstance(v, list)
        else math.nan
        if isinstance(v, float) and math.isnan(v)
        else v
        for v in values
    ]


def _combinations(table: pa.Table, names: list[str]) -> int:
    """Return how many combinations of these axes' values there are."""
    if not names:
        return 1
    columns = table.select(names).to_pandas()
    for name in names:
        if pa.types.is_list(table[name].type):
            columns[name] = columns[name].map(np.ndarray.tobytes, na_action="ignore")
    return len(columns.drop_duplicates())


def _diverged(table: pa.Table) -> int:
    columns = ["non_finite", "tail_loss", "loss_at_start"]
    return int(has_diverged(table.select(columns).to_pandas()).sum())


def _best(table: pa.Table, names: list[str]) -> dict[str, Any]:
    losses = table["validation_loss"].to_numpy()
    if not np.isfinite(losses).any():
        return {}
    row = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
    measures = [name for name in table.column_names if name.startswith(("validation_", "test_"))]
    return table.select([*names, *measures]).slice(row, 1).to_pylist()[0]
