"""The compiled programs of a group of cells: its tiles mapped one after another on every device."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from jax_backprop.training import Learner, TrainState, init_state, role_keys, run_periods
from jax_backprop.types import Batch, Device, Evaluation

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
      layer_factors: ``(params, hyper) -> factors`` of the rate, or None for 1.
      examples: of the train split that are used.
      evaluate_train, evaluate_validation: at the end of every period.
      metrics: fields of ``Metrics`` that are reported of every step; the others cost nothing.
      seed_per_lane: cells of several seeds share a tile (only with the full batch, since a tile
        shares its batches).
      lanes_last: cells lie in the last axis of every array, not the first; the learner knows.
    """

    init: Callable[[Array, Hyper], Any]
    learner: Callable[[Hyper], Learner]
    layer_factors: Callable[[Any, Hyper], Any]
    examples: int
    evaluate_train: bool
    evaluate_validation: bool
    metrics: tuple[str, ...]
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
    """Evaluations at the initial parameters, (tiles, width)."""

    train: Evaluation
    validation: Evaluation


class Segment(NamedTuple):
    """What a segment reports: (tiles, width, periods, steps), and (tiles, width, periods)."""

    metrics: dict[str, Any]
    evaluations: tuple[Evaluation, ...]


class Final(NamedTuple):
    """What a cell leaves behind, (tiles, width); ``loss`` is the full batch's, with penalties."""

    train: Evaluation
    validation: Evaluation
    test: Evaluation
    loss: Float[Any, "tiles width"]
    finite: Bool[Any, "tiles width"]


class Running(NamedTuple):
    """A shard in the middle of its run: its state stays on the devices between segments."""

    state: TrainState
    tiles: TileInputs
    counts: Any
    rows: np.ndarray  # which tile lies in each slot
    where: np.ndarray  # in which slot each tile lies


class OutOfMemoryError(Exception):
    """A program needs more memory than its devices have, or than it may use."""


class Program:
    """Three programs, each compiled once: start, segment (the training itself) and finish.

    A tile runs the same instructions wherever and beside whomever it runs, which is why its bits
    don't depend on the number of devices: whole tiles are shared out, never parts of one, and how
    many a device gets is an argument of the program. (A loop that the compiler sees to run once, or
    an axis of one tile, is simplified and fused differently: the last bit of a test loss
    changed so.) So one program serves every shard, too.
    """

    def __init__(
        self,
        recipe: Recipe,
        splits: Splits,
        *,
        capacity: int,
        devices: Sequence[Device],
        max_bytes: int | None = None,
    ) -> None:
        """Prepare the programs; they are compiled when they are first called.

        Args:
          recipe: what they are made of.
          splits: the data, on the devices already.
          capacity: the most tiles of a shard.
          devices: over which tiles are shared out.
          max_bytes: temporaries that one device may use.
        """
        self._splits, self._max_bytes = splits, max_bytes
        self._devices = len(devices)
        self._slots = max(2, -(-capacity // len(devices)))
        mesh = make_mesh(devices)
        self._sharding = NamedSharding(mesh, PartitionSpec("tiles"))
        self._start = self._compile(mesh, functools.partial(_start_tile, recipe), 1)
        self._segment = self._compile(mesh, functools.partial(_segment_tile, recipe), 3, donate=1)
        self._finish = self._compile(mesh, functools.partial(_finish_tile, recipe), 2)
        self._compiled_segment: Any = None

    def start(self, tiles: TileInputs) -> tuple[Running, Start]:
        """Begin some tiles, at most the capacity."""
        count = len(tiles.seed)
        # Tile t goes to slot t // devices of device t % devices; empty slots repeat a tile, unrun.
        places = np.arange(self._slots)[None, :] * self._devices
        places = places + np.arange(self._devices)[:, None]
        rows = np.minimum(places.reshape(-1), count - 1)
        where = np.argsort(places.reshape(-1))[:count]
        counts = self._put((places < count).sum(axis=1).astype(np.int32))
        placed = self._place(tiles, rows)
        state, found = self._start(counts, placed, self._splits)
        return Running(state, placed, counts, rows, where), _fetch(found, where)

    def segment(self, running: Running, inputs: SegmentInputs) -> tuple[Running, Segment]:
        """Train through one segment."""
        args = (running.counts, running.state, running.tiles, self._place(inputs, running.rows))
        with _memory_explained():
            if self._compiled_segment is None:
                self._compiled_segment = self._segment.lower(*args, self._splits).compile()
                needed = self.temporary_bytes()
                if self._max_bytes is not None and needed and needed > self._max_bytes:
                    raise OutOfMemoryError(
                        f"{needed:,} bytes of temporaries, {self._max_bytes:,} allowed"
                    )
            state, found = self._compiled_segment(*args, self._splits)
            return running._replace(state=state), _fetch(found, running.where)

    def finish(self, running: Running) -> Final:
        """Evaluate the trained parameters."""
        found = self._finish(running.counts, running.state, running.tiles, self._splits)
        return _fetch(found, running.where)

    def temporary_bytes(self) -> int | None:
        """Return the compiled segment's temporaries on one device; None if the device can't say."""
        analysis = self._compiled_segment.memory_analysis()
        return None if analysis is None else int(analysis.temp_size_in_bytes)

    def resume(self, running: Running, leaves: Sequence[np.ndarray]) -> Running:
        """Return a started shard with the state of a checkpoint, as ``snapshot`` gave it."""
        structure = jax.tree.structure(running.state)
        placed = [self._put(leaf[running.rows]) for leaf in leaves]
        return running._replace(state=jax.tree.unflatten(structure, placed))

    def snapshot(self, running: Running) -> list[np.ndarray]:
        """Return the state's leaves on the host, led by the axis of tiles."""
        return [np.asarray(leaf)[running.where] for leaf in jax.tree.leaves(running.state)]

    def _place(self, tree: Any, rows: np.ndarray) -> Any:
        return jax.tree.map(lambda leaf: self._put(np.asarray(leaf)[rows]), tree)

    def _put(self, array: np.ndarray) -> Array:
        return jax.device_put(array, self._sharding)

    def _compile(
        self, mesh: Any, function: Callable[..., Any], arrays: int, donate: int = 0
    ) -> Any:
        """Map a function of one tile over a device's tiles; its last argument is shared by all."""

        def run(count: Int[Array, " 1"], *args: Any) -> Any:
            *tiles, splits = args
            return _map_tiles(lambda *tile: function(*tile, splits), count, *tiles)

        run.__name__ = run.__qualname__ = function.func.__name__.strip("_")  # pyright: ignore
        shared_out = PartitionSpec("tiles")
        mapped = jax.shard_map(
            run,
            mesh=mesh,
            in_specs=(shared_out,) * (1 + arrays) + (PartitionSpec(),),
            out_specs=shared_out,
            check_vma=False,  # a loop's carry starts the same on every device, then varies
        )
        return jax.jit(mapped, donate_argnums=tuple(range(1, 1 + donate)))


@contextlib.contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemoryError(str(error).partition("\n")[0]) from error


def make_mesh(devices: Sequence[Device]) -> Any:
    """Return the one-axis mesh over which tiles are shared out."""
    return jax.make_mesh(
        (len(devices),), ("tiles",), axis_types=(AxisType.Auto,), devices=list(devices)
    )


def _fetch(tree: Any, where: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[where], tree)


def _map_tiles(function: Callable[..., Any], count: Int[Array, " 1"], *tiles: Any) -> Any:
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


def _start_tile(recipe: Recipe, tile: TileInputs, splits: Splits) -> tuple[TrainState, Start]:
    splits = _used(recipe, splits)

    def start(seed: Int[Array, ""], hyper: Hyper) -> tuple[TrainState, Start]:
        params = recipe.init(role_keys(seed).init, hyper)
        learner = recipe.learner(hyper)
        evaluations = (learner.evaluate(params, part) for part in (splits.train, splits.validation))
        return init_state(params, learner), Start(*evaluations)

    seed_axis = 0 if recipe.seed_per_lane else None
    state, found = jax.vmap(start, in_axes=(seed_axis, 0), axis_size=_width(tile))(
        tile.seed, tile.hyper
    )
    if recipe.lanes_last:
        state = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), state)
    return state, found


def _segment_tile(
    recipe: Recipe, state: TrainState, tile: TileInputs, inputs: SegmentInputs, splits: Splits
) -> tuple[TrainState, Segment]:
    splits = _used(recipe, splits)
    evaluated = [splits.train] * recipe.evaluate_train
    evaluated += [splits.validation] * recipe.evaluate_validation

    def train(state: TrainState, rates: Array, hyper: Hyper) -> tuple[TrainState, Segment]:
        state, (metrics, evaluations) = run_periods(
            state,
            rates,
            inputs.order,
            splits.train,
            evaluated,
            learner=recipe.learner(hyper),
            layer_factors=recipe.layer_factors(state.params, hyper),
        )
        kept = {name: getattr(metrics, name) for name in recipe.metrics}
        return state, Segment(kept, evaluations)

    if not recipe.lanes_last:
        return jax.vmap(train)(state, inputs.rates, tile.hyper)
    state, found = train(state, jnp.moveaxis(inputs.rates, 0, -1), tile.hyper)
    return state, jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), found)


def _finish_tile(recipe: Recipe, state: TrainState, tile: TileInputs, splits: Splits) -> Final:
    splits = _used(recipe, splits)

    def finish(state: TrainState, hyper: Hyper) -> Final:
        learner = recipe.learner(hyper)
        loss, _ = learner.value_and_grad(state.params, splits.train)
        train, validation, test = (learner.evaluate(state.params, split) for split in splits)
        return Final(train, validation, test, loss, state.finite)

    if not recipe.lanes_last:
        return jax.vmap(finish)(state, tile.hyper)
    return finish(state, tile.hyper)


def _width(tile: TileInputs) -> int:
    return len(jax.tree.leaves(tile.hyper)[0])
