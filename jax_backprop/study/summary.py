"""A study in numbers: a row a series and rate, and each series' best rate.

A series is what differs neither in learning rate nor in seed: one schedule, one width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jax_backprop.study.frame import Frame
from jax_backprop.study.outcomes import OUTCOMES, classify
from jax_backprop.study.series import series, to_frame
from jax_backprop.study.statistics import Estimate, estimate
from jax_backprop.sweep import load_tables
from jax_backprop.sweep.store import read_manifest

MEASURES = (
    "train_loss",
    "validation_loss",
    "test_loss",
    "validation_accuracy",
    "test_accuracy",
)
NEAR_BEST = 1.1  # a rate is near the best if its loss is within a tenth of the best one's


@dataclass(frozen=True)
class Summary:
    """What a study's cells say.

    Args:
      manifest: study.json.
      cells: a row a cell, with its outcome.
      curves: a row a point of each cell's curve; None if the study kept none.
      rates: a row a series and learning rate: interquartile means over seeds with 95% intervals
        (``validation_loss``, ``validation_loss_low``, ``..._high``), and how many seeds had each
        outcome.
      best: a row a series: the row of ``rates`` with the least validation loss, ``at_edge`` if it
        is the first or last of its several rates, ``band_low`` and ``band_high`` of those near it.
      settings: of each series by its name: axes, and parameters of choices, to values.
    """

    manifest: dict[str, Any]
    cells: Frame
    curves: Frame
    rates: Frame
    best: Frame
    settings: dict[str, dict[str, Any]]

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return int(self.cells["seed"].nunique())

    @property
    def study(self) -> dict[str, Any]:
        """The study file's contents, with defaults filled in."""
        return self.manifest["study"]


def summarize(folder: Path) -> Summary:
    """Read a study's folder and summarize it. Raises InputError if it holds none."""
    tables, manifest = load_tables(folder), read_manifest(folder)
    table = to_frame(tables.cells)
    found = series(table, axis_order(manifest))
    cells = classify(table.assign(series=found.of_cells()))
    rates = summarize_rates(cells)
    curves = None if tables.curves is None else tables.curves.to_pandas()
    settings = dict(zip(found.names, found.settings, strict=True))
    return Summary(manifest, cells, curves, rates, best_rates(rates), settings)


def axis_order(manifest: dict[str, Any]) -> list[str]:
    """Return a study's axes in the order of its file, in which they are named to a reader."""
    place = {name: rank for rank, name in enumerate(manifest["study"].get("axes", ()))}
    return sorted(manifest["identity"]["axes"], key=lambda name: place.get(name, len(place)))


def summarize_rates(cells: Frame) -> Frame:
    """Aggregate cells over seeds: a row a series and learning rate."""
    keys = ["series", "learning_rate"]
    order = list(dict.fromkeys(cells["series"]))
    columns: dict[str, Any] = {}
    index = cells.set_index(keys).index.unique().sort_values()
    for measure in MEASURES:
        values, present = by_seed(cells, keys, measure)
        found = _estimate(values.loc[index], present.loc[index])
        columns |= {
            measure: found.mean,
            f"{measure}_low": found.low,
            f"{measure}_high": found.high,
        }
    rates: Frame = pd.DataFrame(columns, index=index)
    counts = cells.groupby([*keys, "outcome"]).size().unstack(fill_value=0)
    for outcome in OUTCOMES:
        rates[outcome] = counts[outcome].reindex(index, fill_value=0) if outcome in counts else 0
    rates["seeds"] = cells.groupby(keys).size().reindex(index)
    rates = rates.reset_index()
    rank = rates["series"].map({name: place for place, name in enumerate(order)})
    return rates.iloc[np.lexsort([rates["learning_rate"], rank])].reset_index(drop=True)


def by_seed(cells: Frame, keys: Sequence[str], measure: str) -> tuple[Frame, Frame]:
    """Return a measure with a row a setting and a column a seed, and which of these runs exist.

    A run that isn't there (an unfinished study, seeds that a setting wasn't run with) is no run
    that failed: both are NaN in the first table, and the second tells them apart.
    """
    groups = cells.groupby([*keys, "seed"], observed=True)[measure]
    return groups.mean().unstack("seed"), groups.size().unstack("seed").notna()


def _estimate(values: Frame, present: Frame) -> Estimate:
    """Estimate each row over the seeds that it was run with."""
    numbers = values.to_numpy(np.float64)
    patterns, of_row = np.unique(present.to_numpy(), axis=0, return_inverse=True)
    parts = np.empty((len(Estimate._fields), len(numbers)))
    for number, seeds in enumerate(patterns):
        rows = of_row.reshape(-1) == number
        parts[:, rows] = estimate(numbers[rows][:, seeds])
    mean, low, high, diverged = parts
    return Estimate(mean, low, high, diverged.astype(np.int64))


def best_rates(rates: Frame) -> Frame:
    """Choose each series' rate by validation loss: a row a series, in order."""
    rows = []
    for _, group in rates.groupby("series", sort=False):
        row = group.loc[group["validation_loss"].idxmin()].to_dict()
        grid = group["learning_rate"]
        near = grid[group["validation_loss"] <= NEAR_BEST * row["validation_loss"]]
        row["at_edge"] = len(grid) > 2 and row["learning_rate"] in (grid.min(), grid.max())
        row |= {"band_low": near.min(), "band_high": near.max()}
        rows.append(row)
    return pd.DataFrame(rows)
