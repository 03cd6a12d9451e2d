"""The truth: a dense sweep of a task, by seeds that choose and seeds that judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from regret import Truth
from tasks import FIRST_JUDGE, Task

import jax_backprop as jb


def dense_sweep(task: Task, choosing: int, judging: int, folder: Path) -> Truth:
    """Train every rate of the grid with every seed; finished parts are kept in the folder."""
    seeds = [*range(choosing), *range(FIRST_JUDGE, FIRST_JUDGE + judging)]
    rates = [float(rate) for rate in task.rates]
    cells = jb.sweep(
        None,
        task.data,
        jb.Grid({"learning_rate": rates, "seed": seeds}),
        network=task.network,
        optimizer=task.optimizer,
        batch_size=task.batch_size,
        epochs=task.epochs,
        schedule=task.shape,
        curves="none",
        out=folder,
        identity=task.name,
    ).cells.to_pandas()
    ordered = cells.sort_values(["learning_rate", "seed"])

    def by_seed(name: str) -> np.ndarray:
        return ordered[name].to_numpy(np.float64).reshape(len(rates), len(seeds))

    of_classes = task.data.classes > 0
    loss = by_seed("validation_loss")
    accuracy = by_seed("validation_accuracy" if of_classes else "validation_r2")
    start = float(ordered["loss_at_start"].median())
    ends = (loss[:, :choosing], loss[:, choosing:], accuracy[:, choosing:])
    return Truth(np.asarray(rates), *ends, start, in_nats=of_classes)
