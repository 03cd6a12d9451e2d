"""One shard's run: start, segments, finish; what it reports is gathered on the host."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_backprop.engine.planning import Group, rates
from jax_backprop.engine.program import Program, Running
from jax_backprop.engine.tables import Record
from jax_backprop.engine.tile_program import Final, Segment, SegmentInputs, Start, TileInputs
from jax_backprop.training import epoch_orders, role_keys

PROBE_STEPS = 8


class ShardRun(NamedTuple):
    """A shard in the middle of its run, as it is kept on the host for a checkpoint.

    Args:
      start: evaluations at the initial parameters.
      segments: what each finished segment reported.
    """

    start: Start
    segments: tuple[Segment, ...]


def tile_inputs(group: Group, rows: np.ndarray) -> TileInputs:
    """Return what tells a shard's tiles apart; ``rows`` are (tiles, width)."""
    seeds = np.asarray(group.cells.values["seed"], np.int32)[group.cells.codes["seed"]]
    seed = seeds[rows] if group.recipe.seed_per_lane else seeds[rows[:, 0]]
    dtype = _default(np.float64)
    return TileInputs(seed, {name: row[rows].astype(dtype) for name, row in group.hyper.items()})


def _default(dtype: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(dtype)


def prepare(program: Program, group: Group) -> None:
    """Begin to compile a group's programs."""
    program.prepare(tile_inputs(group, group.layout.rows[:1]), _segment_shapes(group))


def train_alone(program: Program, group: Group) -> tuple[list[np.ndarray], int]:
    """Train the group's first tile by itself, by whole segments, for ``PROBE_STEPS`` or more.

    Returns the leaves of its state, and how many steps it took.
    """
    prepare(program, group)
    rows, length = group.layout.rows[:1], group.segment * group.plan.period
    running, _ = program.start(tile_inputs(group, rows))
    segments = min(-(-PROBE_STEPS // length), group.plan.periods // group.segment)
    for done in range(segments):
        running, _ = program.segment(running, _segment_inputs(group, rows, done))
    return program.snapshot(running), segments * length


def _segment_inputs(group: Group, rows: np.ndarray, done: int) -> SegmentInputs:
    """Return what some tiles are given in the segment after so many."""
    periods, period = group.segment, group.plan.period
    table = rates(group, rows, done * periods * period, periods * period)
    shaped = table.reshape(*table.shape[:2], periods, period)
    return SegmentInputs(shaped, orders(group, rows, done))


def _segment_shapes(group: Group) -> SegmentInputs:
    """Return shapes and types of what a segment of one tile is given."""
    plan, periods = group.plan, group.segment
    rates = jax.ShapeDtypeStruct((1, group.width, periods, plan.period), _default(np.float64))
    if plan.batch_size is None:
        return SegmentInputs(rates, None)
    shape = (1, periods, plan.period, plan.batch_size)
    return SegmentInputs(rates, jax.ShapeDtypeStruct(shape, _default(np.int64)))


def run_shard(
    program: Program,
    group: Group,
    shard: int,
    *,
    resumed: tuple[ShardRun, Sequence[np.ndarray]] | None = None,
) -> Iterator[tuple[ShardRun, Running]]:
    """Yield the shard's run before its first segment and after each one.

    Args:
      program: of the group.
      group: whose shard it is.
      shard: its number within the group.
      resumed: the run and the state of a checkpoint.
    """
    rows, _ = group.layout.shard(shard)
    running, start = program.start(tile_inputs(group, rows))
    run = ShardRun(start, ())
    if resumed is not None:
        run, leaves = resumed
        running = program.resume(running, leaves)
    yield run, running
    for done in range(len(run.segments), group.plan.periods // group.segment):
        running, found = program.segment(running, _segment_inputs(group, rows, done))
        run = ShardRun(run.start, (*run.segments, found))
        yield run, running


def lanes(rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return which lanes of some tiles are cells of their own: (tiles, width)."""
    return np.arange(rows.shape[1])[None, :] < real[:, None]


def to_record(group: Group, shard: int, run: ShardRun, final: Final) -> Record:
    """Return what a finished shard reported, cell by cell."""
    kept = lanes(*group.layout.shard(shard))

    def pick(leaf: Any) -> np.ndarray:
        return np.asarray(leaf)[kept]

    metrics = {
        name: _joined([pick(each.metrics[name]) for each in run.segments], int(kept.sum()))
        for name in group.recipe.metrics
    }
    final = jax.tree.map(pick, final)
    curves = _curves(group, run, pick)
    if group.plan.batch_size is None:
        losses = np.concatenate([metrics["loss"], final.loss[:, None]], axis=1)
    else:
        losses = curves["train_loss"]
    keep = group.recipe.evaluate_validation
    ends = {"sharpness_at_start": 0} if "sharpness" in curves else {}
    ends |= {"sharpness": -1} if ends and keep else {}
    return Record(
        losses=losses,
        finite=final.finite,
        final={
            f"{split}_{name}": getattr(getattr(final, split), name)
            for split in ("train", "validation", "test")
            for name in ("loss", "accuracy")
        }
        | {name: curves["sharpness"][:, point] for name, point in ends.items()},
        curves=curves if keep else {},
        evaluated_at=np.asarray(group.plan.evaluated_at()),
        metrics=metrics if len(metrics) > 1 else {},
    )


def _curves(
    group: Group, run: ShardRun, pick: Callable[[Any], np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the evaluations of each cell, the one at the start first: name to (cells, points)."""
    splits = ["train"] * group.recipe.evaluate_train
    splits += ["validation"] * group.recipe.evaluate_validation
    curves = {}
    for place, split in enumerate(splits):
        for name in ("loss", "accuracy"):
            first = pick(getattr(getattr(run.start, split), name))[:, None]
            rest = [pick(getattr(each.evaluations[place], name)) for each in run.segments]
            curves[f"{split}_{name}"] = np.concatenate([first, *rest], axis=1)
    if group.recipe.sharpness is not None:
        rest = [pick(each.sharpness) for each in run.segments if each.sharpness is not None]
        curves["sharpness"] = np.concatenate([pick(run.start.sharpness)[:, None], *rest], axis=1)
    return curves


def _joined(parts: list[np.ndarray], cells: int) -> np.ndarray:
    """Return segments' (cells, periods, steps) as one row of steps a cell."""
    return np.concatenate([part.reshape(cells, -1) for part in parts], axis=1)


def orders(group: Group, rows: np.ndarray, segment: int) -> np.ndarray | None:
    """Return the examples of each mini-batch of a segment: (tiles, periods, steps, batch)."""
    plan = group.plan
    if plan.batch_size is None:
        return None
    seeds = np.asarray(group.cells.values["seed"])[group.cells.codes["seed"][rows[:, 0]]]
    found = [
        _order(int(seed), segment, group.segment, plan, group.recipe.examples) for seed in seeds
    ]
    return np.stack(found)


@functools.lru_cache(maxsize=4)  # a shard's tiles come seed by seed
def _order(seed: int, segment: int, epochs: int, plan: Any, examples: int) -> np.ndarray:
    order = _epoch_orders(
        role_keys(seed).order,
        segment * epochs,
        epochs=epochs,
        examples=examples,
        batch_size=plan.batch_size,
    )
    return np.asarray(order).reshape(epochs, plan.period, plan.batch_size)


_epoch_orders = jax.jit(epoch_orders, static_argnames=("epochs", "examples", "batch_size"))
