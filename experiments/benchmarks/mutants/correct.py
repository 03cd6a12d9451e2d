"""Random problems whose gradient is right: a checker that objects to one raises a false alarm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jax_backprop import Network, Penalties
from jax_backprop.derivation.problems import Problem

PROBLEMS = 200
# Programs are compiled once a shape: so many architectures, and several problems on each.
ARCHITECTURES = 20


def correct_problems(seed: int = 0, count: int = PROBLEMS) -> Iterator[Problem]:
    """Yield random networks, batches, penalties and points; half of the points are trained."""
    generator = np.random.default_rng(seed)
    shapes = [_architecture(generator) for _ in range(ARCHITECTURES)]
    for number in range(count):
        network, batch_size = shapes[number % ARCHITECTURES]
        penalised = bool(generator.integers(2))
        penalties = Penalties(
            l2=float(generator.choice([0.0, 1e-3, 1e-2])) if penalised else 0.0,
            label_smoothing=float(generator.choice([0.0, 0.1])) if penalised else 0.0,
        )
        point = "trained" if (number // ARCHITECTURES) % 2 else "initial"
        yield Problem(network, batch_size, point, penalties, seed=1000 + number)


def _architecture(generator: np.random.Generator) -> tuple[Network, int]:
    depth = int(generator.integers(1, 5))
    sizes = tuple(int(size) for size in generator.integers(2, 13, size=depth + 1))
    network = Network(
        layer_sizes=sizes,
        activation=str(generator.choice(["sigmoid", "tanh", "relu"])),  # pyright: ignore
        loss=str(generator.choice(["softmax_cross_entropy", "squared_error"])),  # pyright: ignore
    )
    return network, int(generator.integers(1, 33))
