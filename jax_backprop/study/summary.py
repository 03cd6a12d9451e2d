"""A study in numbers: a row a series and rate, and each series' best rate.

A series is what differs neither in learning rate nor in seed nor in split: one schedule, one width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jax_backprop.engine import load_tables
from jax_backprop.engine.store import read_manifest
from jax_backprop.study.frame import Frame
from jax_backprop.study.outcomes import OUTCOMES, classify
from jax_backprop.study.runs import SPLIT, Design, by_unit, design, distinct
from jax_backprop.study.series import series, to_frame
from jax_backprop.study.statistics import Estimate, estimate

MEASURES = ("train_loss", "validation_loss", "test_loss", "validation_accuracy", "test_accuracy")
NEAR_BEST = 1.1  # a rate is near the best if its loss is within a tenth of the best one's


@dataclass(frozen=True)
class Summary:
    """What a study's cells say.

    Args:
      manifest: study.json.
      cells: a row a cell, with its outcome.
      curves: a row a point of each cell's curve; None if the study kept none.
      rates: a row a series and learning rate: interquartile means with 95% intervals
        (``validation_loss``, ``validation_loss_low``, ``..._high``), over seeds, or over splits
        whose seeds are averaged first; how many ``seeds`` and ``splits`` there are, how many
        ``runs`` in all, and how many of these had each outcome.
      best: a row a series: the row of ``rates`` with the least validation loss among those that
        enough runs were made at, ``at_edge`` if it is the first or last of its several rates,
        ``band_low`` and ``band_high`` of those near it.
      settings: of each series by its name: axes, and parameters of choices, to values.
      design: what the intervals are over.
    """

    manifest: dict[str, Any]
    cells: Frame
    curves: Frame
    rates: Frame
    best: Frame
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    design: Design = field(default_factory=lambda: Design(1, 1))

    @property
    def study(self) -> dict[str, Any]:
        """The study file's contents, with defaults filled in."""
        return self.manifest["study"]


def summarize(folder: Path | str) -> Summary:
    """Read a study's folder and summarize it. Raises InputError if it holds none."""
    folder = Path(folder)
    tables, manifest = load_tables(folder), read_manifest(folder)
    table = to_frame(tables.cells)
    found = series(table, axis_order(manifest))
    table = table.assign(series=found.of_cells())
    curves = None if tables.curves is None else tables.curves.to_pandas()
    return summary_of(manifest, table, dict(zip(found.names, found.settings, strict=True)), curves)


def summary_of(
    manifest: dict[str, Any],
    table: Frame,
    settings: dict[str, dict[str, Any]],
    curves: Frame = None,
) -> Summary:
    """Summarize cells that have their ``series``. Raises InputError if a run is there twice."""
    cells = classify(distinct(manifest, table))
    found = design(manifest, cells)
    rates = summarize_rates(cells, found.overlap)
    return Summary(manifest, cells, curves, rates, best_rates(rates), settings, found)


def axis_order(manifest: dict[str, Any]) -> list[str]:
    """Return a study's axes in the order of its file, in which they are named to a reader."""
    place = {name: rank for rank, name in enumerate(manifest["study"].get("axes", ()))}
    return sorted(manifest["identity"]["axes"], key=lambda name: place.get(name, len(place)))


def summarize_rates(cells: Frame, overlap: float = 0.0) -> Frame:
    """Aggregate cells over seeds, or splits: a row a series and learning rate.

    Args:
      cells: a row a cell, with its series and outcome.
      overlap: as of ``estimate``, where they are splits of one data set.
    """
    keys = ["series", "learning_rate"]
    order = list(dict.fromkeys(cells["series"]))
    columns: dict[str, Any] = {}
    index = cells.set_index(keys).index.unique().sort_values()
    for measure in (name for name in MEASURES if name in cells):
        values, present = by_unit(cells, keys, measure)
        found = _estimate(values.loc[index], present.loc[index], overlap)
        columns |= {measure: found.mean, f"{measure}_low": found.low, f"{measure}_high": found.high}
    rates: Frame = pd.DataFrame(columns, index=index)
    counts = cells.groupby([*keys, "outcome"]).size().unstack(fill_value=0)
    for outcome in OUTCOMES:
        rates[outcome] = counts[outcome].reindex(index, fill_value=0) if outcome in counts else 0
    groups = cells.groupby(keys)
    rates["seeds"] = groups["seed"].nunique().reindex(index)
    rates["splits"] = groups[SPLIT].nunique().reindex(index) if SPLIT in cells else 1
    rates["runs"] = groups.size().reindex(index)
    rates = rates.reset_index()
    rank = rates["series"].map({name: place for place, name in enumerate(order)})
    return rates.iloc[np.lexsort([rates["learning_rate"], rank])].reset_index(drop=True)


def _estimate(values: Frame, present: Frame, overlap: float) -> Estimate:
    """Estimate each row over the seeds or splits that it was run with."""
    numbers = values.to_numpy(np.float64)
    patterns, of_row = np.unique(present.to_numpy(), axis=0, return_inverse=True)
    parts = np.empty((len(Estimate._fields), len(numbers)))
    for number, units in enumerate(patterns):
        rows = of_row.reshape(-1) == number
        parts[:, rows] = estimate(numbers[rows][:, units], overlap=overlap)
    mean, low, high, diverged = parts
    return Estimate(mean, low, high, diverged.astype(np.int64))


def best_rates(rates: Frame) -> Frame:
    """Choose each series' rate by validation loss: a row a series, in order.

    Rates at which fewer than half of the runs were made that others have are left out: those that a
    search tried for one seed, and those that an unfinished study has just begun.
    """
    rows = []
    for _, whole in rates.groupby("series", sort=False):
        group = whole[whole["runs"] * 2 >= whole["runs"].max()]
        row = group.loc[group["validation_loss"].idxmin()].to_dict()
        grid = group["learning_rate"]
        near = grid[group["validation_loss"] <= NEAR_BEST * row["validation_loss"]]
        row["at_edge"] = len(grid) > 2 and row["learning_rate"] in (grid.min(), grid.max())
        row |= {"band_low": near.min(), "band_high": near.max()}
        rows.append(row)
    return pd.DataFrame(rows)
