"""``sweep``: a grid of training runs as one compiled program, shard by shard."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow as pa

from jax_backprop.schedules import check_rates, schedule_shape
from jax_backprop.sweep.grid import Grid
from jax_backprop.sweep.program import Program, Splits, TileInputs
from jax_backprop.sweep.store import StudyFolder
from jax_backprop.sweep.tables import Tables, to_tables
from jax_backprop.sweep.tiles import SHARD_TILES, Tile, lay_out, shards, tile_width
from jax_backprop.training import (
    Learner,
    Plan,
    check_dataset,
    epoch_orders,
    make_plan,
    role_keys,
)
from jax_backprop.types import Batch, Dataset, Device, Evaluate, Evaluation, Init, ValueAndGrad


class Progress(NamedTuple):
    """Where a sweep stands after a shard.

    Args:
      done_cells, total_cells: finished ones, those found on disk included.
      computed_cells: those finished by this run.
      non_finite: cells that met a loss that isn't finite.
      best_loss: the least final validation loss.
    """

    done_cells: int
    total_cells: int
    computed_cells: int
    non_finite: int
    best_loss: float


def sweep(
    init: Init,
    value_and_grad: ValueAndGrad,
    data: Dataset,
    grid: Grid,
    *,
    evaluate: Evaluate | None = None,
    direction: optax.GradientTransformation = optax.identity(),
    batch_size: int | None = None,
    epochs: int = 50,
    devices: Sequence[Device] | None = None,
    folder: StudyFolder | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tables:
    """Train every cell of a grid, and return a row a cell and a row a point of its curve.

    Args:
      init: ``key -> params``, any pytree.
      value_and_grad: ``(params, batch) -> (loss, grads)``: ours, or any network's.
      data: shared by all cells.
      grid: what differs between cells.
      evaluate: ``(params, batch) -> Evaluation``; by default the loss alone.
      direction: an optax transformation without a rate in it.
      batch_size: examples a step; None for all.
      epochs: passes over the train split.
      devices: by default all local ones; the results' bits don't depend on them.
      folder: where finished shards are kept, and looked for.
      on_progress: called after each shard.

    Raises:
      InputError: data, batch size or rates that can't be used; nothing has run then.
    """
    check_dataset(data)
    learner = Learner(value_and_grad, evaluate or _loss_only(value_and_grad), direction)
    plan = make_plan(len(data.train.labels), batch_size=batch_size, epochs=epochs)
    for schedule in grid.schedules:
        for peak in grid.learning_rates:
            check_rates(_rates(schedule_shape(schedule, plan.steps), peak))
    tiles = lay_out(grid.cells(), width_for(init, data, grid, batch_size))
    program = Program(init, learner, Splits(data.train, data.validation, data.test), devices)
    found = list(_computed(program, data, plan, tiles, folder, on_progress))
    return Tables(*(pa.concat_tables(parts) for parts in zip(*found, strict=True)))


def width_for(init: Init, data: Dataset, grid: Grid, batch_size: int | None) -> int:
    """Return the width of this sweep's tiles, by the fixed rule."""
    inputs = data.train.inputs
    rows = batch_size or len(data.train.labels)
    return tile_width(
        jax.eval_shape(init, jax.random.key(0)),
        rows * inputs.nbytes // len(inputs),
        len(grid.learning_rates) * len(grid.schedules),
    )


def _computed(
    program: Program,
    data: Dataset,
    plan: Plan,
    tiles: list[Tile],
    folder: StudyFolder | None,
    on_progress: Callable[[Progress], None] | None,
) -> Iterator[Tables]:
    """Yield the tables of each shard, from disk where they are there, else computed and saved."""
    orders = functools.lru_cache(maxsize=2)(functools.partial(_order, plan, len(data.train.labels)))
    total = sum(tile.real for tile in tiles)
    progress = Progress(0, total, 0, 0, float("inf"))
    started = time.perf_counter()
    for index, shard in enumerate(shards(tiles)):
        tables = folder.read(index) if folder is not None else None
        computed = tables is None
        if tables is None:
            results = program(_inputs(shard, plan, orders), capacity=SHARD_TILES)
            tables = to_tables(shard, results, np.asarray(plan.evaluated_at()))
            if folder is not None:
                folder.write(index, tables)
        progress = _advance(progress, tables.cells, computed)
        if on_progress is not None:
            on_progress(progress)
        yield tables
    if folder is not None and not folder.complete:
        folder.finish({"sweep": time.perf_counter() - started})


def _inputs(shard: list[Tile], plan: Plan, orders: Callable[[int], Any]) -> TileInputs:
    shape = (plan.periods, plan.period)
    rates = np.stack(
        [
            [
                _rates(schedule_shape(cell.schedule, plan.steps), cell.learning_rate)
                for cell in tile.cells
            ]
            for tile in shard
        ]
    )
    order = None
    if plan.batch_size is not None:
        order = jnp.stack([orders(tile.seed) for tile in shard])
    return TileInputs(
        seed=jnp.asarray([tile.seed for tile in shard], jnp.int32),
        rates=jnp.asarray(rates.reshape(*rates.shape[:2], *shape)),
        order=order,
    )


def _rates(shape: np.ndarray, peak: float) -> np.ndarray:
    """Return peak x shape, multiplied in float64 and rounded once."""
    with np.errstate(over="ignore"):
        return (peak * shape).astype(jax.dtypes.canonicalize_dtype(np.float64))


_epoch_orders = jax.jit(epoch_orders, static_argnames=("epochs", "examples", "batch_size"))


def _order(plan: Plan, examples: int, seed: int) -> jax.Array:
    """Return the rows of each mini-batch of one seed: (periods, period, batch)."""
    assert plan.batch_size is not None
    epochs = plan.steps // plan.steps_per_epoch
    order = _epoch_orders(
        role_keys(seed).order, 0, epochs=epochs, examples=examples, batch_size=plan.batch_size
    )
    return order.reshape(plan.periods, plan.period, plan.batch_size)


def _advance(progress: Progress, cells: pa.Table, computed: bool) -> Progress:
    best = float(np.fmin.reduce(cells["validation_loss"].to_numpy(), initial=progress.best_loss))
    return Progress(
        done_cells=progress.done_cells + cells.num_rows,
        total_cells=progress.total_cells,
        computed_cells=progress.computed_cells + cells.num_rows * computed,
        non_finite=progress.non_finite + int(np.sum(cells["non_finite"].to_numpy())),
        best_loss=best,
    )


def _loss_only(value_and_grad: ValueAndGrad) -> Evaluate:
    """Return an evaluation by the value alone (the compiler drops the gradient)."""

    def evaluate(params: Any, batch: Batch) -> Evaluation:
        loss, _ = value_and_grad(params, batch)
        return Evaluation(loss, jnp.full_like(loss, jnp.nan))

    return evaluate
