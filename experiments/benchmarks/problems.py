"""What several benchmarks train: random data of MNIST's shape, the same work for the peers."""

from __future__ import annotations

import jax
import numpy as np
from engine import mini_batches, peaks
from peers import Work

from jax_backprop import Dataset, Network, init_params, make_dataset, role_keys


def mnist_like() -> Dataset:
    """Return random data of MNIST's shape."""
    images = np.random.default_rng(0).random((4000, 784), np.float32)
    return make_dataset(images, np.arange(4000) % 10, name="random 784")


def peers_work(
    network: Network, data: Dataset, *, batch_size: int, epochs: int, cells: int
) -> Work:
    """Return for the peers what the engine's tiles train: seed 0, a rate for each network."""
    params = init_params(network, key=role_keys(0).init)
    return Work(
        inputs=np.asarray(data.train.inputs, np.float32),
        labels=np.asarray(data.train.labels),
        order=np.asarray(mini_batches(data, batch_size, epochs)),
        rates=np.asarray(peaks(cells)),
        weights=tuple(np.asarray(leaf) for leaf in jax.tree.leaves(params)),
    )
