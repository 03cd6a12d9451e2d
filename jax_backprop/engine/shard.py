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
from jax_backprop.training import Plan, batch_rows, check_numbers, role_keys
from jax_backprop.types import canonical


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
    dtype = canonical(np.float64)
    return TileInputs(seed, {name: row[rows].astype(dtype) for name, row in group.hyper.items()})


def prepare(program: Program, group: Group) -> None:
    """Begin to compile a group's programs."""
    segments = [_segment_shapes(group, *each) for each in dict.fromkeys(group.segments)]
    program.prepare(tile_inputs(group, group.layout.rows[:1]), segments)


def segment_inputs(group: Group, rows: np.ndarray, number: int) -> SegmentInputs:
    """Return what some tiles are given in one segment: rates, and examples of each mini-batch."""
    periods, period = group.segments[number]
    first, steps = number * group.segment * group.plan.period, periods * period
    table = rates(group, rows, first, steps)
    shaped = table.reshape(*table.shape[:2], periods, period)
    if group.plan.batch_size is None:
        return SegmentInputs(shaped, None)
    seeds = np.asarray(group.cells.values["seed"])[group.cells.codes["seed"][rows[:, 0]]]
    orders = [_rows(int(seed), group.plan, first, steps) for seed in seeds]
    return SegmentInputs(shaped, np.stack(orders).reshape(len(seeds), periods, period, -1))


@functools.lru_cache(maxsize=4)  # a shard's tiles come seed by seed
def _rows(seed: int, plan: Plan, first: int, steps: int) -> np.ndarray:
    found = batch_rows(role_keys(seed).order, plan, first, steps)
    assert found is not None, "asked for mini-batches alone"
    return found


def _segment_shapes(group: Group, periods: int, period: int) -> SegmentInputs:
    """Return shapes and types of what a segment of one tile is given."""
    rates = jax.ShapeDtypeStruct((1, group.width, periods, period), canonical(np.float64))
    if group.plan.batch_size is None:
        return SegmentInputs(rates, None)
    shape = (1, periods, period, group.plan.batch_size)
    return SegmentInputs(rates, jax.ShapeDtypeStruct(shape, canonical(np.int64)))


def train_shard(
    program: Program,
    group: Group,
    rows: np.ndarray,
    *,
    resumed: tuple[ShardRun, Sequence[np.ndarray]] | None = None,
) -> Iterator[tuple[ShardRun, Running]]:
    """Yield a shard's run before its first segment and after each one.

    Args:
      program: of the group.
      group: whose cells they are.
      rows: (tiles, width), the cell in each lane.
      resumed: the run and the state of a checkpoint.
    """
    running, start = program.start(tile_inputs(group, rows))
    run = ShardRun(start, ())
    if resumed is not None:
        run, leaves = resumed
        running = program.resume(running, leaves)
    yield run, running
    for number in range(len(run.segments), len(group.segments)):
        running, found = program.segment(running, segment_inputs(group, rows, number))
        run = ShardRun(run.start, (*run.segments, found))
        yield run, running


def check_start(run: ShardRun) -> None:
    """Raise InputError for a metric of the user's that is no number at the initial parameters."""
    for each in (run.start.train, run.start.validation):
        check_numbers(each)


def real_lanes(rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return which lanes of some tiles are cells of their own: (tiles, width)."""
    return np.arange(rows.shape[1])[None, :] < real[:, None]


def to_record(group: Group, shard: int, run: ShardRun, final: Final) -> Record:
    """Return what a finished shard reported, cell by cell."""
    kept = real_lanes(*group.layout.shard(shard))

    def pick(leaf: Any) -> np.ndarray:
        lanes = np.asarray(leaf)
        return lanes.reshape(-1, *lanes.shape[2:]) if kept.all() else lanes[kept]

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
            f"{split}_{name}": values
            for split in ("train", "validation", "test")
            for name, values in getattr(final, split).named().items()
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
        along = [each.evaluations[place].named() for each in run.segments]
        for name, at_start in getattr(run.start, split).named().items():
            first, rest = pick(at_start)[:, None], [pick(each[name]) for each in along]
            curves[f"{split}_{name}"] = np.concatenate([first, *rest], axis=1)
    if group.recipe.sharpness is not None:
        rest = [pick(each.sharpness) for each in run.segments if each.sharpness is not None]
        curves["sharpness"] = np.concatenate([pick(run.start.sharpness)[:, None], *rest], axis=1)
    return curves


def _joined(parts: list[np.ndarray], cells: int) -> np.ndarray:
    """Return segments' (cells, periods, steps) as one row of steps a cell."""
    return np.concatenate([part.reshape(cells, -1) for part in parts], axis=1)
