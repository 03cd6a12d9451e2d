"""The sweep engine's own compiled segment, as a function of no arguments to be timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop import (
    Batch,
    Dataset,
    Evaluation,
    Grid,
    Network,
    Penalties,
    init_params,
    network_learner,
    role_keys,
    value_and_grad,
)
from jax_backprop.engine.cells import resolve
from jax_backprop.engine.options import Options
from jax_backprop.engine.planning import Group
from jax_backprop.engine.program import Running
from jax_backprop.engine.runner import Runner
from jax_backprop.engine.shard import segment_inputs, tile_inputs
from jax_backprop.engine.workload import Workload
from jax_backprop.training import epoch_orders, init_state, network_functions, run_steps


def no_evaluation(params: Any, _: Batch) -> Evaluation:
    """Stand in for an evaluation: training alone is compared, on all sides."""
    first = jax.tree.leaves(params)[0].ravel()[0]
    return Evaluation(first)


def tiles(
    network: Network,
    data: Dataset,
    peaks: tuple[float, ...],
    *,
    batch_size: int,
    epochs: int,
    width: int | None = None,
    curves: str = "none",
    matmul_precision: str = "highest",
) -> tuple[Group, Callable[[], Running]]:
    """Return the group and its training, all tiles in one segment; ``width`` None is the rule's."""
    gradient, *_ = network_functions(network, Penalties())
    fixed = {"batch_size": batch_size, "epochs": epochs, "matmul_precision": matmul_precision}
    workload = Workload(
        partial(_init, network), gradient, no_evaluation, data, fixed, curves=curves
    )
    runner = Runner(workload, ["learning_rate"], Options(tile_width=width))
    runner.add(resolve(Grid({"learning_rate": peaks}).cells(), fixed))
    (group,) = runner.groups
    layout = group.layout._replace(shard_tiles=len(group.layout.rows))
    segment, capacity = group.plan.periods, layout.capacity
    group = group._replace(layout=layout, segment=segment, capacity=capacity)
    program = runner.computer.program(group)
    rows = group.layout.rows
    inputs = segment_inputs(group, rows, 0)

    def train() -> Running:
        running, _ = program.start(tile_inputs(group, rows))
        return program.segment(running, inputs)[0]

    return group, train


def first_network(group: Group, running: Running) -> list[Any]:
    """Return the trained leaves of the first cell."""
    tile, lane = np.argwhere(group.layout.rows == 0)[0]
    slot = running.where[tile]
    return [leaf[slot, lane] for leaf in jax.tree.leaves(running.state.params)]


def one_by_one(
    network: Network, data: Dataset, peaks: tuple[float, ...], *, batch_size: int, epochs: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the same cells as one jitted run after another, and as one plain ``vmap`` over all."""
    learner = network_learner(network)._replace(evaluate=no_evaluation)
    order = mini_batches(data, batch_size, epochs)
    train = jax.tree.map(jnp.asarray, data.train)
    table = jnp.broadcast_to(jnp.asarray(peaks)[:, None], (len(peaks), len(order)))
    params = init_params(network, key=role_keys(0).init)

    def one(row: jax.Array) -> Any:
        state, metrics = run_steps(init_state(params, learner), row, order, train, learner=learner)
        return state.params, metrics

    single = jax.jit(one)
    every = jax.jit(jax.vmap(one))
    return lambda: [single(row) for row in table], lambda: every(table)


def step_by_step(
    network: Network, data: Dataset, peaks: tuple[float, ...], *, batch_size: int, epochs: int
) -> Callable[[], Any]:
    """Return the same cells as a Python loop over jitted steps, one cell after another."""
    order = list(mini_batches(data, batch_size, epochs))
    train = jax.tree.map(jnp.asarray, data.train)
    start = init_params(network, key=role_keys(0).init)

    @jax.jit
    def step(params: Any, rate: float, rows: jax.Array) -> Any:
        batch = jax.tree.map(lambda leaf: leaf[rows], train)
        _, grads = value_and_grad(params, batch, network=network, block_size=None)
        return jax.tree.map(lambda leaf, grad: leaf - rate * grad, params, grads)

    def run(rate: float) -> Any:
        params = start
        for rows in order:
            params = step(params, rate, rows)
        return params

    return lambda: [run(rate) for rate in peaks]


def mini_batches(data: Dataset, batch_size: int, epochs: int) -> jax.Array:
    """Return the examples of each step of seed 0: (steps, batch)."""
    examples = len(data.train.labels)
    key = role_keys(0).order
    return epoch_orders(key, 0, epochs=epochs, examples=examples, batch_size=batch_size)


def products_alone(shape: tuple[int, int, int], batch: int, width: int, steps: int) -> Any:
    """Return the five matrix products of a step, and nothing else, over tiles of ``width`` cells.

    The same calls in the same tiles on the same devices; what they give is thrown away behind an
    optimisation barrier. Their rate is what a step's own arithmetic could reach here.
    """
    inputs, hidden, classes = shape
    devices = jax.local_device_count()
    keys = jax.random.split(jax.random.key(0), 5)
    sizes = [(batch, inputs), (width, inputs, hidden), (width, hidden, classes)]
    sizes += [(width, batch, hidden), (width, batch, classes)]
    arrays = [jax.random.normal(key, size) for key, size in zip(keys, sizes, strict=True)]

    def step(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
        x, w1, w2, h, d = jax.lax.optimization_barrier((*arrays, carry))[:5]
        found = jax.vmap(lambda w1, w2, h, d: (x @ w1, h @ w2, h.T @ d, d @ w2.T, x.T @ h))(
            w1, w2, h, d
        )
        kept = jax.lax.optimization_barrier((*found, carry))
        return kept[-1] + sum(each.ravel()[0] for each in kept[:-1]), None

    def run(start: jax.Array) -> jax.Array:
        return jax.lax.scan(step, start[0], None, length=steps)[0][None]

    mesh = jax.make_mesh((devices,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("d")
    mapped = jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return partial(jax.jit(mapped), jnp.zeros(devices))


def products_work(shape: tuple[int, int, int], batch: int) -> float:
    """Return the floating-point operations of the five matrix products of one step of one cell."""
    inputs, hidden, classes = shape
    return 2.0 * batch * (2 * inputs * hidden + 3 * hidden * classes)


def _init(network: Network, key: jax.Array) -> Any:
    return init_params(network, key=key)


def peaks(cells: int) -> tuple[float, ...]:
    """Return so many distinct learning rates that all train."""
    return tuple(float(rate) for rate in np.linspace(0.05, 0.5, cells))
