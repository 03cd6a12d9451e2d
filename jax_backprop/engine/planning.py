"""From cells to what is compiled and run: groups that share a program, tiles, shards, segments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_backprop.engine.cells import plain, static_key
from jax_backprop.engine.grid import Cells, Named
from jax_backprop.engine.tile_program import Recipe
from jax_backprop.engine.tiles import (
    Layout,
    Size,
    cached,
    cell_size,
    lanes_last,
    lay_out,
    segment_length,
    tile_width,
)
from jax_backprop.engine.workload import (
    Functions,
    Workload,
    check_measured,
    optimizer_columns,
    traced_axes,
)
from jax_backprop.errors import InputError
from jax_backprop.importing import keywords
from jax_backprop.network import COPIES
from jax_backprop.optimizers import check_descends
from jax_backprop.reading import check_memory
from jax_backprop.schedules import check_rates, unit_rates
from jax_backprop.settings import Optimizer, Rule
from jax_backprop.training import Plan, make_plan, trained_part, used_examples
from jax_backprop.training.factors import LAYER_PREFIX, layer_factors, reduction_factor
from jax_backprop.types import Dataset, canonical


class Group(NamedTuple):
    """Cells that one compiled program serves.

    Args:
      key: the static settings as text, the name of its tile width in the manifest.
      program_key: the same without what is handed to a compiled program: which split of the data.
      data: what its cells are trained on.
      cells: resolved, of this group alone.
      plan: steps and periods.
      segment: periods a compiled segment.
      recipe: what the program is made of.
      hyper: traced settings by name, (cells,) each.
      capacity: the most tiles of a shard, for which the programs are compiled.
    """

    key: str
    program_key: str
    data: Dataset
    cells: Cells
    size: Size
    plan: Plan
    segment: int
    recipe: Recipe
    layout: Layout
    hyper: dict[str, np.ndarray]
    capacity: int

    @property
    def segments(self) -> list[tuple[int, int]]:
        """(Periods, steps a period) of each compiled call."""
        return self.plan.segments(self.segment)

    @property
    def width(self) -> int:
        """Cells a tile."""
        return self.layout.rows.shape[1]


def make_groups(
    workload: Workload,
    cells: Cells,
    *,
    widths: Mapping[str, int],
    tile_width: int | None = None,
    platform: str = "cpu",
) -> list[Group]:
    """Split cells into groups, and lay each out.

    Args:
      workload: what they share.
      cells: resolved ones.
      widths: recorded widths by group; a group that has one keeps it.
      tile_width: for the others, instead of the rule's.
      platform: of the devices.

    Raises:
      InputError: an axis that nothing takes, a batch size or rate that can't be.
    """
    _check_fractions(cells, workload.data.train.examples)
    traced = traced_axes(workload, cells)
    of_group, statics = static_key(cells, traced)
    groups = []
    for index, static in enumerate(statics):
        key = json.dumps(plain(static), sort_keys=True)
        own = cells.take(np.flatnonzero(of_group == index))
        width = widths.get(key) or tile_width
        split = workload.of_split(static["split_seed"])
        groups.append(_make_group(split, own, key, static, traced, width, platform))
    return groups


def _check_fractions(cells: Cells, examples: int) -> None:
    """Raise InputError for two shares of the data that are as many examples: one run twice."""
    counts: dict[int, Any] = {}
    for share in cells.values["data_fraction"]:
        count = used_examples(float(share), examples)  # pyright: ignore[reportArgumentType]
        if counts.setdefault(count, share) != share:
            raise InputError(
                "axis 'data_fraction'",
                got=f"{counts[count]} and {share}, each {count} of {examples} examples",
                expected="shares that differ in how many examples they are",
                remedy="Leave one out.",
            )


def with_width(group: Group, width: int, platform: str) -> Group:
    """Return a group laid out anew in tiles of another width."""
    layout = lay_out(_sharing(group.cells, group.recipe), width, group.size, platform)
    return group._replace(layout=layout, capacity=layout.capacity)


def rates(group: Group, rows: np.ndarray, first: int, steps: int) -> np.ndarray:
    """Return the learning rates of some cells, (*rows.shape, steps): peak x shape, rounded once."""
    peaks = _peaks(group.cells, group.plan)[rows].reshape(-1)
    codes = group.cells.codes["schedule"][rows].reshape(-1)
    table = np.empty((len(peaks), steps), canonical(np.float64))
    for code in np.unique(codes):
        schedule = _bare(group.cells.values["schedule"][code])
        shape = unit_rates(schedule, group.plan.steps)[first : first + steps]
        own = np.flatnonzero(codes == code)
        for part in cached(len(own), steps):
            with np.errstate(over="ignore"):
                table[own[part]] = peaks[own[part], None] * shape
    return table.reshape(*rows.shape, steps)


def _make_group(
    workload: Workload,
    cells: Cells,
    key: str,
    static: dict[str, Any],
    traced: Mapping[str, bool],
    width: int | None,
    platform: str,
) -> Group:
    examples = used_examples(static["data_fraction"], workload.data.train.examples)
    lengths = ("batch_size", "epochs", "steps", "eval_every")
    most = optimizer_columns(cells).get("optimizer.accumulate_steps")
    length = {name: static[name] for name in lengths}
    plan = make_plan(examples, **length, accumulate_steps=None if most is None else int(most.max()))
    if plan.batch_size is None and workload.curves == "none":
        plan = plan._replace(period=1)  # nothing interrupts the steps: cut them anywhere
    _check_rates(cells, plan)
    names = [name for name, is_traced in traced.items() if is_traced]
    recipe, size, hyper = _recipe(workload, cells, static, names, plan, examples)
    sharing = _sharing(cells, recipe)
    together = int(np.unique(sharing, return_counts=True)[1].max())
    width = width or tile_width(size, platform, together)
    layout = lay_out(sharing, width, size, platform)
    most = width * layout.capacity  # cells at once
    kept = 4 * plan.steps * len(recipe.metrics)
    check_memory("cells side by side", most * (COPIES * size.params_bytes + 2 * kept))
    work = size.work * most
    return Group(
        key=key,
        program_key=json.dumps([plain({**static, "split_seed": None}), workload.data.scaling]),
        data=workload.data,
        cells=cells,
        size=size,
        plan=plan,
        segment=segment_length(plan.periods, work, platform),
        recipe=recipe,
        layout=layout,
        hyper=hyper,
        capacity=layout.capacity,
    )


def _recipe(
    workload: Workload,
    cells: Cells,
    static: dict[str, Any],
    names: list[str],
    plan: Plan,
    examples: int,
) -> tuple[Recipe, Size, dict[str, np.ndarray]]:
    """Return what a group's programs are made of, a cell's size, and the traced settings."""
    hyper = {name: cells.numbers(name) for name in ("learning_rate", *names)}
    hyper |= {name: cells.numbers(name) for name in cells.values if name.startswith(LAYER_PREFIX)}
    hyper |= optimizer_columns(cells)
    named = workload.direction or Optimizer.model_validate({"name": static["optimizer"]})
    check_measured(workload)
    settings = {name: _bare(value) for name, value in {**workload.fixed, **static}.items()}
    functions = Functions(workload, settings, names, static["optimizer"])
    functions.learner(dict.fromkeys(hyper, 1.0))  # raises now what it would raise while compiling
    shapes = jax.eval_shape(functions.init, jax.random.key(0), dict.fromkeys(hyper, 1.0))
    if workload.direction is not None:
        check_descends(workload.direction, trained_part(shapes))
    example_bytes = workload.data.features * np.dtype(canonical(np.float64)).itemsize
    size = cell_size(shapes, plan.batch, example_bytes, plan.steps, examples)
    evaluated, full_batch = workload.curves != "none", plan.batch_size is None
    bare = named == Optimizer() and "with" not in static
    bare = bare and (workload.rate_rule or static["rate_rule"]) == Rule()
    recipe = Recipe(
        init=functions.init,
        learner=functions.learner,
        layer_factors=layer_factors(
            trained_part(shapes), workload.fixed.get("layer_factors"), hyper
        ),
        examples=examples,
        evaluate_train=evaluated or not full_batch,
        evaluate_validation=evaluated,
        metrics=_metrics(workload.curves, full_batch),
        sharpness=functions.sharpness if workload.sharpness_iterations else None,
        seed_per_lane=full_batch,
        lanes_last=bare and _lanes_last(workload, names, size),
    )
    return recipe, size, hyper


def _lanes_last(workload: Workload, traced: list[str], size: Size) -> bool:
    """Tell whether cells lie in the last axis: where the functions know it, and it is faster."""
    trained = [f for f in (workload.value_and_grad, workload.evaluate) if f]
    a_number_each = {name for f in trained for name in keywords(f)} & set(traced)
    knows = workload.knows_lanes and not workload.sharpness_iterations
    return knows and not a_number_each and lanes_last(size)


def _metrics(curves: str, full_batch: bool) -> tuple[str, ...]:
    if curves == "steps":
        return ("loss", "learning_rate", "grad_norm")
    return ("loss",) if full_batch else ()


def _sharing(cells: Cells, recipe: Recipe) -> np.ndarray:
    """Return what cells must agree on to share a tile: their seed, if a tile has batches."""
    if recipe.seed_per_lane:
        return np.zeros(len(cells), np.int64)
    return cells.codes["seed"].astype(np.int64)


def _peaks(cells: Cells, plan: Plan) -> np.ndarray:
    """Return each cell's peak rate on the mean loss."""
    factors = [reduction_factor(kind, plan.batch) for kind in cells.values["reduction"]]
    return cells.numbers("learning_rate") * np.asarray(factors)[cells.codes["reduction"]]


def _check_rates(cells: Cells, plan: Plan) -> None:
    """Raise InputError for a rate that can't be, by each schedule's shape and the largest peak."""
    peaks = _peaks(cells, plan)
    for code, schedule in enumerate(cells.values["schedule"]):
        chosen = peaks[cells.codes["schedule"] == code]
        if chosen.size:
            shape = unit_rates(_bare(schedule), plan.steps)
            with np.errstate(over="ignore", invalid="ignore"):
                for peak in (chosen.min(), chosen.max()):
                    check_rates((peak * shape).astype(canonical(np.float64)))


def _bare(value: Any) -> Any:
    return value.value if isinstance(value, Named) else value
