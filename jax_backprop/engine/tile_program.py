"""What a compiled program does with one tile: start, train through a segment, finish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jax_backprop.training import (
    Learner,
    TrainState,
    evaluated_params,
    init_state,
    role_keys,
    run_periods,
)
from jax_backprop.types import Batch, Evaluation

Hyper = Mapping[str, Any]  # traced settings by name: a number each, or one a lane


class Splits(NamedTuple):
    """The data on the device, shared by every cell."""

    train: Batch
    validation: Batch
    test: Batch


class Recipe(NamedTuple):
    """What the programs of one group are made of; static.

    Args:
      init: ``(key, hyper) -> params``.
      learner: ``hyper -> Learner``.
      layer_factors: ``hyper -> factors`` of the rate, or None for 1.
      examples: of the train split that are used.
      evaluate_train, evaluate_validation: at the end of every period.
      metrics: fields of ``Metrics`` that are reported of every step; the others cost nothing.
      sharpness: ``(params, batch, hyper) -> sharpness`` of the train split, at the start and where
        validation is evaluated; None for no such measurement.
      seed_per_lane: cells of several seeds share a tile (only with the full batch, since a tile
        shares its batches).
      lanes_last: cells lie in the last axis of every array, not the first; the learner knows.
    """

    init: Callable[[Array, Hyper], Any]
    learner: Callable[[Hyper], Learner]
    layer_factors: Callable[[Hyper], Any]
    examples: int
    evaluate_train: bool
    evaluate_validation: bool
    metrics: tuple[str, ...]
    sharpness: Callable[[Any, Batch, Hyper], Any] | None
    seed_per_lane: bool
    lanes_last: bool


class TileInputs(NamedTuple):
    """What tells tiles apart for all of a run: arrays led by the axis of tiles."""

    seed: Int[Any, " tiles *width"]
    hyper: dict[str, Float[Any, "tiles width"]]


class SegmentInputs(NamedTuple):
    """What tells tiles apart in one segment."""

    rates: Float[Any, "tiles width periods steps"]
    order: Int[Any, "tiles periods steps batch"] | None


class Start(NamedTuple):
    """Evaluations at the initial parameters, (tiles, width); sharpness if it is measured."""

    train: Evaluation
    validation: Evaluation
    sharpness: Any


class Segment(NamedTuple):
    """What a segment reports: (tiles, width, periods, steps), and (tiles, width, periods)."""

    metrics: dict[str, Any]
    evaluations: tuple[Evaluation, ...]
    sharpness: Any


class Final(NamedTuple):
    """What a cell leaves behind, (tiles, width); ``loss`` is the full batch's, with penalties."""

    train: Evaluation
    validation: Evaluation
    test: Evaluation
    loss: Float[Any, "tiles width"]
    finite: Bool[Any, "tiles width"]


def map_tiles(function: Callable[..., Any], count: Int[Array, " 1"], *tiles: Any) -> Any:
    """Apply a function to each of the first ``count`` of a device's tiles, one after another."""

    def tile_at(index: Int[Array, ""]) -> Any:
        return jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), tiles
        )

    def run(index: Int[Array, ""], results: Any) -> Any:
        return jax.tree.map(
            lambda rows, row: jax.lax.dynamic_update_index_in_dim(rows, row, index, 0),
            results,
            function(*tile_at(index)),
        )

    function = jax.jit(function, inline=True)  # traced once, for its shapes and for the loop
    shapes = jax.eval_shape(lambda: function(*tile_at(jnp.zeros((), jnp.int32))))
    slots = len(jax.tree.leaves(tiles)[0])
    empty = jax.tree.map(lambda leaf: jnp.zeros((slots, *leaf.shape), leaf.dtype), shapes)
    return jax.lax.fori_loop(0, count[0], run, empty)


def _used(recipe: Recipe, splits: Splits) -> Splits:
    """Return the splits with the part of train that this group uses."""
    return splits._replace(train=jax.tree.map(lambda rows: rows[: recipe.examples], splits.train))


def start_tile(recipe: Recipe, tile: TileInputs, splits: Splits) -> tuple[TrainState, Start]:
    """Return the state of a tile's cells before their first step, and its evaluations."""
    splits = _used(recipe, splits)

    def start(seed: Int[Array, ""], hyper: Hyper) -> tuple[TrainState, Start]:
        params = recipe.init(role_keys(seed).init, hyper)
        learner = recipe.learner(hyper)
        found = Start(
            learner.evaluate(params, splits.train),
            learner.evaluate(params, splits.validation),
            _sharpness(recipe, params, splits, hyper),
        )
        return init_state(params, learner, role_keys(seed).order), found

    seed_axis = 0 if recipe.seed_per_lane else None
    state, found = jax.vmap(start, in_axes=(seed_axis, 0), axis_size=_width(tile))(
        tile.seed, tile.hyper
    )
    if recipe.lanes_last:
        state = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), state)
    return state, found


def segment_tile(
    recipe: Recipe, state: TrainState, tile: TileInputs, inputs: SegmentInputs, splits: Splits
) -> tuple[TrainState, Segment]:
    """Train a tile's cells through one segment."""
    splits = _used(recipe, splits)
    evaluated = [splits.train] * recipe.evaluate_train
    evaluated += [splits.validation] * recipe.evaluate_validation

    def train(state: TrainState, rates: Array, hyper: Hyper) -> tuple[TrainState, Segment]:
        state, (metrics, evaluations, sharpness) = run_periods(
            state,
            rates,
            inputs.order,
            splits.train,
            evaluated,
            learner=recipe.learner(hyper),
            layer_factors=recipe.layer_factors(hyper),
            observe=lambda params: (
                _sharpness(recipe, params, splits, hyper) if recipe.evaluate_validation else None
            ),
        )
        kept = {name: getattr(metrics, name) for name in recipe.metrics}
        return state, Segment(kept, evaluations, sharpness)

    if not recipe.lanes_last:
        return jax.vmap(train)(state, inputs.rates, tile.hyper)
    state, found = train(state, jnp.moveaxis(inputs.rates, 0, -1), tile.hyper)
    return state, jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), found)


def finish_tile(recipe: Recipe, state: TrainState, tile: TileInputs, splits: Splits) -> Final:
    """Evaluate a tile's trained cells on every split."""
    splits = _used(recipe, splits)

    def finish(state: TrainState, hyper: Hyper) -> Final:
        learner = recipe.learner(hyper)
        params = evaluated_params(state, learner)
        loss, _ = learner.value_and_grad(params, splits.train)
        train, validation, test = (learner.evaluate(params, split) for split in splits)
        return Final(train, validation, test, loss, state.finite)

    if not recipe.lanes_last:
        return jax.vmap(finish)(state, tile.hyper)
    return finish(state, tile.hyper)


def _sharpness(recipe: Recipe, params: Any, splits: Splits, hyper: Hyper) -> Any:
    return None if recipe.sharpness is None else recipe.sharpness(params, splits.train, hyper)


def _width(tile: TileInputs) -> int:
    return len(jax.tree.leaves(tile.hyper)[0])
