"""Training steps a second: one run, plain vmap over all cells, tiles of each width."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from timing import in_turn, row

from jax_backprop import (
    Batch,
    Grid,
    Network,
    fit,
    init_params,
    load_dataset,
    make_dataset,
    network_learner,
    role_keys,
)
from jax_backprop.sweep.engine import width_for
from jax_backprop.sweep.program import Program, Splits, TileInputs
from jax_backprop.training import epoch_orders, init_state, run_steps
from jax_backprop.types import Dataset

WIDTHS = (1, 2, 4, 8, 16, 32)


class Shape(NamedTuple):
    """One problem: network, batch, cells and epochs, sized to run for about a second."""

    network: Network
    data: Dataset
    batch_size: int
    cells: int
    epochs: int


def shapes() -> list[Shape]:
    """Return digits as it is, and random data of MNIST's shape."""
    generator = np.random.default_rng(0)
    images = generator.random((4000, 784), np.float32)
    mnist_like = make_dataset(images, np.arange(4000) % 10, name="random 784")
    return [
        Shape(Network(layer_sizes=(64, 32, 10)), load_dataset("digits"), 32, 256, 10),
        Shape(Network(layer_sizes=(784, 128, 10)), mnist_like, 128, 64, 2),
    ]


def run() -> list[dict[str, Any]]:
    """Return the rows of this benchmark."""
    return [entry for shape in shapes() for entry in _measure(shape)]


def _measure(shape: Shape) -> list[dict[str, Any]]:
    learner = network_learner(shape.network)
    data, steps = shape.data, len(shape.data.train.labels) // shape.batch_size * shape.epochs
    order = epoch_orders(
        role_keys(0).order,
        0,
        epochs=shape.epochs,
        examples=len(data.train.labels),
        batch_size=shape.batch_size,
    )
    train = jax.tree.map(jnp.asarray, data.train)
    rates = jnp.full((shape.cells, steps), 0.1)

    def init(key: jax.Array) -> Any:
        return init_params(shape.network, key=key)

    def one(rates: jax.Array) -> Any:
        return run_steps(
            init_state(init(role_keys(0).init), learner), rates, order, train, learner=learner
        )[0].params

    sides: dict[str, Any] = {
        "one run after another": partial(_all, jax.jit(one), rates[: max(4, shape.cells // 16)]),
        "plain vmap over all cells": partial(jax.jit(jax.vmap(one)), rates),
    }
    program = Program(
        init,
        # Evaluation is left out on all sides: training alone is compared.
        learner._replace(evaluate=_no_evaluation),
        Splits(data.train, data.validation, data.test),
    )
    for width in WIDTHS:
        tiles = _tiles(rates, order, width)
        sides[f"tiles of {width}"] = partial(program, tiles, capacity=len(tiles.seed))
    times = in_turn(sides)
    speed = {
        name: (max(4, shape.cells // 16) if name.startswith("one") else shape.cells)
        * steps
        / timing.median
        for name, timing in times.items()
    }
    width = width_for(init, data, Grid(tuple(range(shape.cells))), shape.batch_size)
    sizes = "-".join(map(str, shape.network.layer_sizes))
    ours = speed[f"tiles of {width}"]
    label = f"run-steps a second, {sizes}, batch {shape.batch_size}"
    rows = [
        row(f"{label}, {name}", ours, value, "1/s", f"ours: tiles of {width}, the rule's width")
        for name, value in speed.items()
        if name != f"tiles of {width}"
    ]
    return [*rows, _against_fit(shape, label, ours)]


def _all(one: Any, rates: jax.Array) -> list[Any]:
    return [one(row_of_rates) for row_of_rates in rates]


def _no_evaluation(params: Any, _: Batch) -> Any:
    first = jax.tree.leaves(params)[0].ravel()[0]
    from jax_backprop import Evaluation

    return Evaluation(first, first)


def _tiles(rates: jax.Array, order: jax.Array, width: int) -> TileInputs:
    cells, steps = rates.shape
    tiles = cells // width
    return TileInputs(
        seed=jnp.zeros(tiles, jnp.int32),
        rates=rates.reshape(tiles, width, 1, steps),
        order=jnp.broadcast_to(order, (tiles, 1, *order.shape)),
    )


def _against_fit(shape: Shape, label: str, ours: float) -> dict[str, Any]:
    """Compare with `fit`: every step's metrics, an evaluation an epoch, as a user would run it."""
    params = init_params(shape.network, key=role_keys(0).init)

    def once() -> float:
        started = time.perf_counter()
        result = fit(
            params,
            shape.data,
            key=role_keys(0).order,
            network=shape.network,
            learning_rate=0.1,
            batch_size=shape.batch_size,
            epochs=shape.epochs,
        )
        return len(result.history.steps.loss) / (time.perf_counter() - started)

    once()
    return row(f"{label}, fit", ours, float(np.median([once() for _ in range(5)])), "1/s")
