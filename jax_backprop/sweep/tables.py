"""A shard's results as two tables: a row a cell, and a row a point of each cell's curve."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from jax_backprop.sweep.program import TileResults
from jax_backprop.sweep.tiles import Tile

CURVE_POINTS = 100  # a longer curve keeps every n-th point, and its last
RISE = 1e-6  # of the loss at the start: a smaller increase is rounding
TAIL = 0.1  # share of the evaluations after the start


class Tables(NamedTuple):
    """Results of a sweep; no clock times, so that two runs give the same bytes."""

    cells: pa.Table
    curves: pa.Table


def to_tables(tiles: list[Tile], results: TileResults, evaluated_at: np.ndarray) -> Tables:
    """Return the tables of a shard.

    Args:
      tiles: the shard's tiles, in the order of the results' first axis.
      results: of at least those tiles; repeats and padding are left out.
      evaluated_at: updates done before each point of a curve, (points,), the first one 0.
    """
    lanes = [(row, lane) for row, tile in enumerate(tiles) for lane in range(tile.real)]
    cells = [tiles[row].cells[lane] for row, lane in lanes]
    rows, columns = np.array(lanes).T

    def pick(leaf: Any) -> np.ndarray:
        return np.asarray(leaf)[rows, columns]

    train, validation, test = (
        jax.tree.map(pick, part) for part in (results.train, results.validation, results.test)
    )
    ids = [cell.id for cell in cells]
    table: dict[str, Any] = {
        "cell": ids,
        "schedule": [cell.schedule.label for cell in cells],
        "learning_rate": [cell.learning_rate for cell in cells],
        "seed": pa.array([cell.seed for cell in cells], pa.int32()),
    }
    for name, split in (("train", train), ("validation", validation)):
        table[f"{name}_loss"] = split.loss[:, -1]
        table[f"{name}_accuracy"] = split.accuracy[:, -1]
    table |= {"test_loss": test.loss, "test_accuracy": test.accuracy}
    table |= facts(np.asarray(train.loss), pick(results.finite))
    return Tables(pa.table(table), _curves(ids, train, validation, evaluated_at))


def facts(losses: np.ndarray, finite: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is needed to tell how each run went; the verdict is drawn when reading.

    Args:
      losses: (cells, points) training loss at each evaluation, the first before any update.
      finite: (cells,) whether every loss of the run was finite.

    Returns:
      ``loss_at_start``; ``tail_loss``, the median of the last tenth; ``best_loss``; ``rises``, how
      often the loss grew by more than 1e-6 of its start; ``first_rise``, the first evaluation after
      such growth, 0 for never; ``non_finite``.
    """
    start, after = losses[:, :1].astype(np.float64), losses[:, 1:].astype(np.float64)
    tail = max(1, int(TAIL * after.shape[1]))
    with np.errstate(invalid="ignore", over="ignore"):
        risen = np.diff(losses.astype(np.float64), axis=1) > RISE * start
        return {
            "loss_at_start": losses[:, 0],
            "tail_loss": np.median(after[:, -tail:], axis=1),
            "best_loss": np.fmin.reduce(losses, axis=1),
            "rises": risen.sum(axis=1).astype(np.int32),
            "first_rise": np.where(risen.any(axis=1), risen.argmax(axis=1) + 1, 0).astype(np.int32),
            "non_finite": ~finite,
        }


def _curves(ids: list[str], train: Any, validation: Any, evaluated_at: np.ndarray) -> pa.Table:
    stride = -(-(len(evaluated_at) - 1) // CURVE_POINTS)
    kept = np.unique(np.append(np.arange(0, len(evaluated_at), stride), len(evaluated_at) - 1))
    return pa.table(
        {
            "cell": pa.array(np.repeat(ids, len(kept))).dictionary_encode(),
            "step": np.tile(evaluated_at[kept].astype(np.int32), len(ids)),
            "train_loss": train.loss[:, kept].reshape(-1),
            "train_accuracy": train.accuracy[:, kept].reshape(-1),
            "validation_loss": validation.loss[:, kept].reshape(-1),
            "validation_accuracy": validation.accuracy[:, kept].reshape(-1),
        }
    )
