"""Where a sweep stands: counted by the run-steps done, so that the ETA is fair to long cells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa


class SweepProgress(NamedTuple):
    """Where a sweep stands after a segment.

    Args:
      done_cells, total_cells: finished ones of this share, those found on disk included.
      computed_cells: those finished by this run.
      cells_per_second, steps_per_second: of this run; 0 before the first segment.
      seconds_left: expected, infinite before the first segment.
      diverged: cells of this run that ended above their start, or met a loss that isn't finite.
      non_finite: those of them that met one.
      best_loss: the least final validation loss of this run.
    """

    done_cells: int
    total_cells: int
    computed_cells: int
    cells_per_second: float
    steps_per_second: float
    seconds_left: float
    diverged: int
    non_finite: int
    best_loss: float


class Meter:
    """Counts what is done, and tells it."""

    def __init__(self, tell: Callable[[SweepProgress], None]) -> None:
        self._tell = tell
        self._started: float | None = None  # when the first segment had run: compilation is apart
        self._steps_timed = 0.0
        self._steps_done = self._steps_left = 0.0
        self._total = self._found = self._computed = 0
        self._steps = 0.0
        self._diverged = self._non_finite = 0
        self._best = float("inf")

    def begin(self, cells: int, steps: float, found_cells: int, found_steps: float) -> None:
        """Set what there is to do, and what of it is on disk, by this run or before it."""
        self._total, self._steps, self._found = cells, steps, found_cells - self._computed
        self._steps_left = steps - found_steps
        self._report()

    def advance(self, steps: float) -> None:
        """Count run-steps of a finished segment."""
        if self._started is None:
            self._started = time.perf_counter()
        else:
            self._steps_timed += steps
        self._steps_done += steps
        self._steps_left -= steps
        self._report()

    def add(self, cells: pa.Table) -> None:
        """Count the cells of a finished shard."""
        tail, start = cells["tail_loss"].to_numpy(), cells["loss_at_start"].to_numpy()
        non_finite = cells["non_finite"].to_numpy()
        with np.errstate(invalid="ignore"):
            self._diverged += int(np.sum(non_finite | ~(tail <= start * (1 + 1e-6))))
        self._non_finite += int(np.sum(non_finite))
        self._computed += cells.num_rows
        losses = cells["validation_loss"].to_numpy()
        self._best = float(np.fmin.reduce(losses, initial=self._best))
        self._report()

    def _report(self) -> None:
        seconds = time.perf_counter() - self._started if self._started is not None else 0.0
        speed = self._steps_timed / seconds if seconds > 0 else 0.0
        self._tell(
            SweepProgress(
                done_cells=self._found + self._computed,
                total_cells=self._total,
                computed_cells=self._computed,
                cells_per_second=speed * self._total / self._steps if self._steps else 0.0,
                steps_per_second=speed,
                seconds_left=self._steps_left / speed if speed > 0 else float("inf"),
                diverged=self._diverged,
                non_finite=self._non_finite,
                best_loss=self._best,
            )
        )
