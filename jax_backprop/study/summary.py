"""A study in numbers: a row a schedule and rate, the best rates, and the homework's answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jax_backprop.study.frame import Frame
from jax_backprop.study.outcomes import OUTCOMES, classify
from jax_backprop.study.statistics import estimate
from jax_backprop.sweep import load_study

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
      curves: a row a point of each cell's curve.
      rates: a row a schedule and learning rate: interquartile means over seeds with 95% intervals
        (``validation_loss``, ``validation_loss_low``, ``..._high``), and how many seeds had each
        outcome.
      best: a row a schedule: the row of ``rates`` with the least validation loss, ``at_edge`` if it
        is the grid's first or last rate, ``band_low`` and ``band_high`` of the rates near it.
    """

    manifest: dict[str, Any]
    cells: Frame
    curves: Frame
    rates: Frame
    best: Frame

    @property
    def study(self) -> dict[str, Any]:
        """The study file's contents, with defaults filled in."""
        return self.manifest["study"]


def summarize(folder: Path) -> Summary:
    """Read a study's folder and summarize it. Raises InputError if it holds none."""
    tables, manifest = load_study(folder)
    cells = classify(tables.cells.to_pandas())
    rates = summarize_rates(cells)
    return Summary(manifest, cells, tables.curves.to_pandas(), rates, best_rates(rates))


def summarize_rates(cells: Frame) -> Frame:
    """Aggregate cells over seeds: a row a schedule and learning rate."""
    keys = ["schedule", "learning_rate"]
    order = list(dict.fromkeys(cells["schedule"]))
    columns: dict[str, Any] = {}
    index = cells.set_index(keys).index.unique().sort_values()
    for measure in MEASURES:
        table = cells.pivot_table(
            index=keys, columns="seed", values=measure, dropna=False, observed=True
        )
        found = estimate(table.loc[index].to_numpy(np.float64))
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
    rank = rates["schedule"].map({name: place for place, name in enumerate(order)})
    return rates.iloc[np.lexsort([rates["learning_rate"], rank])].reset_index(drop=True)


def best_rates(rates: Frame) -> Frame:
    """Choose each schedule's rate by validation loss: a row a schedule, in order."""
    rows = []
    for _, group in rates.groupby("schedule", sort=False):
        row = group.loc[group["validation_loss"].idxmin()].to_dict()
        grid = group["learning_rate"]
        near = grid[group["validation_loss"] <= NEAR_BEST * row["validation_loss"]]
        row["at_edge"] = row["learning_rate"] in (grid.min(), grid.max())
        row |= {"band_low": near.min(), "band_high": near.max()}
        rows.append(row)
    return pd.DataFrame(rows)
