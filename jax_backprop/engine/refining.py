"""Refinement: after a grid, the rates halfway between the best one and its neighbours.

For each setting by itself, so that a grid of few rates a decade resolves its best rate as finely as
a dense one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jax_backprop.engine.grid import Cells, Grid, with_others
from jax_backprop.engine.halving import check_whole, settings_of
from jax_backprop.engine.options import Options
from jax_backprop.engine.rounds import run_rounds
from jax_backprop.engine.workload import Workload
from jax_backprop.metrics import shortfall

RATE = "learning_rate"


def run_refined(
    workload: Workload, grid: Grid, out: Path, options: Options, study: Mapping[str, Any]
) -> None:
    """Run a grid into a folder, then refine the rates of each setting about its best one.

    Args:
      workload, grid: what is run; an axis of the grid is the learning rate.
      out, options: the folder, and how it is run.
      study: its description: ``refine``, and ``choose_by``.

    Raises:
      InputError: as ``run_rounds``, or only a share of the work is to be done.
    """
    check_whole(options, "refine")
    first = len(grid.cells(options.max_cells))
    chosen_by = str(study.get("choose_by", "loss"))

    def propose(cells: Cells, table: Any) -> list[tuple[int, float]]:
        score = shortfall(table[f"validation_{chosen_by}"].to_numpy(), chosen_by)
        return between(cells, score, first, int(study["refine"]))

    run_rounds(workload, grid, out, options, study, propose)


def between(
    cells: Cells, score: Float[np.ndarray, " cells"], first: int, rounds: int
) -> list[tuple[int, float]]:
    """Return rows at the best rate of each setting, and the new rates beside it for them.

    The best by the interquartile mean over seeds, or over splits. A gap between two rates of the
    grid is halved at most so many times.

    Args:
      cells: all so far, the grid's before the others.
      score: lower is better.
      first: how many cells are the grid's.
      rounds: of refinement.
    """
    rate = cells.numbers(RATE)
    unit = "split_seed" if len(cells.values.get("split_seed", ())) > 1 else "seed"
    units = cells.codes.get(unit, np.zeros(len(cells), int))
    wanted = []
    for rows in _rows_of_settings(cells):
        rates, place = np.unique(rate[rows], return_inverse=True)
        means = interquartile_means(place, units[rows], score[rows])
        best = int(np.argmin(means))
        if np.isfinite(means[best]):
            grid = np.unique(rate[rows[rows < first]])
            at_best = rows[place == best]
            new = _beside(rates, best, grid, rounds)
            wanted += [(int(row), value) for value in new for row in at_best]
    return wanted


def _rows_of_settings(cells: Cells) -> list[np.ndarray]:
    """Return the rows of each setting, whatever their rates, in the cells' order."""
    setting = settings_of(cells, RATE)
    ends = np.cumsum(np.bincount(setting))
    return np.split(np.argsort(setting, kind="stable"), ends[:-1])


def _beside(rates: np.ndarray, best: int, grid: np.ndarray, rounds: int) -> list[float]:
    """Return the rates halfway to both neighbours, where the grid's gap isn't halved enough."""
    new = []
    for low, high in ((best - 1, best), (best, best + 1)):
        if low >= 0 and high < len(rates) and rates[low] > 0:
            middle = float(np.sqrt(rates[low] * rates[high]))
            upper = int(np.searchsorted(grid, middle))
            whole = np.log(grid[upper] / grid[upper - 1]) if grid[upper - 1] > 0 else np.inf
            if np.log(rates[high] / rates[low]) > 1.5 * whole / 2**rounds:
                new.append(float(f"{middle:.12g}"))
    return new


def expected(cells: Cells, rounds: int) -> Cells:
    """Return as many cells as will be run, for an estimate of what that takes."""
    rate = cells.numbers(RATE)
    wanted: list[tuple[int, float]] = []
    for rows in _rows_of_settings(cells):
        least = rows[rate[rows] == rate[rows].min()]
        new = [float(rate[rows].max()) + 1 + more for more in range(2 * rounds)]
        wanted += [(int(row), value) for value in new for row in least]
    return with_others(cells, RATE, wanted)[0]


def interquartile_means(
    group: Int[np.ndarray, " cells"],
    unit: Int[np.ndarray, " cells"],
    score: Float[np.ndarray, " cells"],
) -> Float[np.ndarray, " groups"]:
    """Return each group's interquartile mean over units; what isn't finite counts as the largest.

    Args:
      group: numbers from 0.
      unit: cells of one group and one unit are averaged first.
      score: of each cell.
    """
    pair = np.stack([group, unit])
    pairs, place = np.unique(pair, axis=1, return_inverse=True)
    place = place.reshape(-1)
    values = np.bincount(place, np.where(np.isfinite(score), score, np.inf)) / np.bincount(place)
    order = np.lexsort((values, pairs[0]))
    groups, values = pairs[0][order], values[order]
    count = np.bincount(groups)
    rank = np.arange(len(groups)) - (np.cumsum(count) - count)[groups]
    cut = (0.25 * count).astype(int)[groups]
    kept = (rank >= cut) & (rank < count[groups] - cut)
    return np.bincount(groups[kept], values[kept]) / np.bincount(groups[kept])
