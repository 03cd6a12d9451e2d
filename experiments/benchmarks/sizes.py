"""A sweep against the sum of its single runs, at every size tried: is it ever slower?"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from engine import one_by_one, peaks, tiles
from timing import in_turn, row

from jax_backprop import Batch, Dataset, Network, make_dataset

HIDDEN = (8, 32, 128, 512, 1024)
BATCHES = (8, 32, 128, 1024)
FEATURES, CLASSES, CELLS = 64, 10, 16
WORK = 2e10  # floating-point operations a measurement


def run() -> list[dict[str, Any]]:
    """Return a row a size; loss, rate and gradient norm are recorded at each step on both sides."""
    rows = []
    for hidden, batch in product(HIDDEN, BATCHES):
        network = Network(layer_sizes=(FEATURES, hidden, CLASSES))
        step_work = 6.0 * (FEATURES + CLASSES) * hidden * batch * CELLS
        steps = int(np.clip(WORK / step_work, 4, 400))
        data = _two_batches(batch)
        settings: Any = {"batch_size": batch, "epochs": max(1, steps // 2)}
        group, train = tiles(network, data, peaks(CELLS), curves="steps", **settings)
        single, _ = one_by_one(network, data, peaks(CELLS), **settings)
        found = in_turn({"sweep": train, "single": single}, 5)
        count = CELLS * settings["epochs"] * 2
        label = f"sweep against its single runs, H {hidden}, batch {batch}, tiles of {group.width}"
        sweep, alone = (count / found[name].median for name in ("sweep", "single"))
        rows.append(row(label, sweep, alone, "run-steps/s", aim="ratio >= 1"))
    return rows


def _two_batches(batch: int) -> Dataset:
    """Return random data whose train split is two batches."""
    inputs = np.random.default_rng(0).random((max(200, 2 * batch), FEATURES), np.float32)
    labels = (np.arange(len(inputs)) % CLASSES).astype(np.int32)
    data = make_dataset(inputs, labels, name="random")
    return replace(data, train=Batch(inputs[: 2 * batch], labels[: 2 * batch]))
