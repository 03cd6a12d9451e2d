"""Successive halving: many settings for a short run, and the best of them for longer ones.

Each run begins anew, so that its schedule is whole at its own length, and a cell is the same
whether it was chosen or lies in a grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jax_backprop.engine.grid import Cells, Grid
from jax_backprop.engine.options import Options
from jax_backprop.engine.rounds import run_rounds
from jax_backprop.engine.workload import Workload
from jax_backprop.errors import InputError
from jax_backprop.metrics import shortfall
from jax_backprop.settings import LENGTHS, REPLICATES


def rungs_of(grid: Grid) -> tuple[str, list[int]]:
    """Return the axis of a run's length and its values, rising."""
    axis = next(name for name in LENGTHS if name in grid.axes)
    return axis, sorted(grid.axes[axis])


def run_halving(
    workload: Workload, grid: Grid, out: Path, options: Options, study: Mapping[str, Any]
) -> None:
    """Run a grid's first rung into a folder, then of each rung the best settings on the next.

    Args:
      workload, grid: what is run; an axis of the grid is the run's length.
      out, options: the folder, and how it is run.
      study: its description: ``halving``, and ``choose_by``.

    Raises:
      InputError: as ``run_rounds``, or only a share of the work is to be done.
    """
    check_whole(options, "halving")
    axis, rungs = rungs_of(grid)
    first = replace(grid, axes={**grid.axes, axis: tuple(rungs[:1])})
    chosen_by = str(study.get("choose_by", "loss"))

    def propose(cells: Cells, table: pa.Table) -> list[tuple[int, int]]:
        score = shortfall(table[f"validation_{chosen_by}"].to_numpy(), chosen_by)
        return promoted(cells, score, axis, rungs, int(study["halving"]))

    run_rounds(workload, first, out, options, study, propose, axis=axis)


def check_whole(options: Options, what: str) -> None:
    """Raise InputError where only a share of the work is to be done."""
    if options.share != (1, 1):
        raise InputError(
            "--part",
            got=f"it beside {what}",
            expected="the whole study: what comes next depends on all results",
            remedy="Leave it out; --cluster spreads the work over machines.",
        )


def promoted(
    cells: Cells, score: np.ndarray, axis: str, rungs: Sequence[int], factor: int
) -> list[tuple[int, int]]:
    """Return the rows that go on from the longest rung there is, with the next one's length.

    Of each ``factor`` settings the best one, by its mean score over seeds and splits; none that
    failed with any of them.

    Args:
      cells: all so far.
      score: (cells,), lower is better.
      axis, rungs: the run's length, and its values, rising.
      factor: of how many settings one goes on.
    """
    length = cells.numbers(axis)
    at = np.flatnonzero(length == length.max())
    later = [rung for rung in rungs if rung > length.max()]
    setting = settings_of(cells, axis)[at]
    runs = np.bincount(setting)
    means = np.bincount(setting, np.where(np.isfinite(score[at]), score[at], np.inf))
    means = np.where(runs > 0, means / np.maximum(runs, 1), np.inf)
    count = places(int(np.sum(runs > 0)), factor)
    best = [each for each in np.argsort(means, kind="stable")[:count] if np.isfinite(means[each])]
    return [(int(row), later[0]) for row in at[np.isin(setting, best)]] if later else []


def settings_of(cells: Cells, axis: str) -> np.ndarray:
    """Return which setting each cell is a run of, whatever its length: numbers from 0."""
    names = [name for name in cells.codes if name not in (axis, *REPLICATES)]
    rows = np.stack([cells.codes[name] for name in names])
    _, first, inverse = np.unique(rows, axis=1, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse.reshape(-1)]


def places(settings: int, factor: int) -> int:
    """Return how many settings go on to the next rung: at least one."""
    return -(-settings // factor)


def expected(cells: Cells, grid: Grid, factor: int) -> Cells:
    """Return as many cells of each rung as will be run, for an estimate of what that takes."""
    axis, rungs = rungs_of(grid)
    setting, length = settings_of(cells, axis), cells.numbers(axis)
    count, kept = int(setting.max()) + 1, np.zeros(len(cells), bool)
    for rung in rungs:
        kept |= (length == rung) & (setting < count)
        count = places(count, factor)
    return cells.take(kept)
