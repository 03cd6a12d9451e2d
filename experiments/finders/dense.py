"""The truth: a dense sweep of a task, by seeds that choose and seeds that judge."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tasks import FIRST_JUDGE, Task

import jax_backprop as jb


class Truth(NamedTuple):
    """Final validation losses and accuracies of a task: (rates, seeds); and losses at the start."""

    rates: np.ndarray
    chosen_by: tuple[np.ndarray, np.ndarray]  # loss, accuracy at the seeds that choose
    judged_by: tuple[np.ndarray, np.ndarray]
    start: float


def dense_sweep(task: Task, choosing: int, judging: int, folder: Path) -> Truth:
    """Train every rate of the grid with every seed; finished parts are kept in the folder."""
    seeds = [*range(choosing), *range(FIRST_JUDGE, FIRST_JUDGE + judging)]
    network, rates = task.network, [float(rate) for rate in task.rates]
    cells = jb.sweep(
        task.init,
        task.data,
        jb.Grid({"learning_rate": rates, "seed": seeds}),
        value_and_grad=partial(jb.value_and_grad, network=network),
        evaluate=partial(jb.evaluate, network=network),
        batch_size=task.batch_size,
        epochs=task.epochs,
        optimizer=task.learner.direction,
        schedule=task.shape,
        curves="none",
        out=folder,
        identity=task.name,
    ).cells.to_pandas()
    ordered = cells.sort_values(["learning_rate", "seed"])
    shape = (len(rates), len(seeds))
    loss = ordered["validation_loss"].to_numpy(np.float64).reshape(shape)
    accuracy = ordered["validation_accuracy"].to_numpy(np.float64).reshape(shape)
    start = float(ordered["loss_at_start"].median())
    loss = np.where(np.isfinite(loss), loss, start)
    own, others = slice(0, choosing), slice(choosing, None)
    return Truth(
        np.asarray(rates),
        (loss[:, own], accuracy[:, own]),
        (loss[:, others], accuracy[:, others]),
        start,
    )
