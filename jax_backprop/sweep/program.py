"""The compiled program of a sweep: tiles mapped one after another on every device."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from jax_backprop.training import Learner, init_state, role_keys, run_periods
from jax_backprop.types import Batch, Device, Evaluation, Init


class Splits(NamedTuple):
    """The data on the device, shared by every cell."""

    train: Batch
    validation: Batch
    test: Batch


class TileInputs(NamedTuple):
    """What tells tiles apart: arrays led by the axis of tiles (one tile's have no such axis)."""

    seed: Int[Array, "*tiles"]
    rates: Float[Array, "*tiles width periods steps"]
    order: Int[Array, "*tiles periods steps batch"] | None


class TileResults(NamedTuple):
    """What a cell leaves behind: its curves from the start on, and its test result."""

    train: Evaluation  # (tiles, width, periods + 1)
    validation: Evaluation
    test: Evaluation  # (tiles, width)
    finite: Bool[Array, "tiles width"]


class Program:
    """The compiled program over some devices: ``program(tiles, splits) -> results``.

    A tile runs the same instructions wherever and beside whomever it runs, which is why its bits
    don't depend on the number of devices: whole tiles are shared out, never parts of one, and how
    many a device gets is an argument of the program. (A loop that the compiler sees to run once, or
    an axis of one tile, is simplified and fused differently: the last bit of a test loss
    changed so.) So one program serves every shard, too.
    """

    def __init__(
        self,
        init: Init,
        learner: Learner,
        splits: Splits,
        devices: Sequence[Device] | None = None,
    ) -> None:
        chosen = list(devices) if devices is not None else jax.local_devices()
        self._devices = len(chosen)
        self._splits = jax.tree.map(jnp.asarray, splits)
        mesh = jax.make_mesh(
            (self._devices,), ("tiles",), axis_types=(AxisType.Auto,), devices=chosen
        )
        shared_out = PartitionSpec("tiles")
        self._run = jax.jit(
            jax.shard_map(
                functools.partial(_run_tiles, init, learner),
                mesh=mesh,
                in_specs=(shared_out, shared_out, PartitionSpec()),
                out_specs=shared_out,
                check_vma=False,  # a loop's carry starts the same on every device, then varies
            )
        )

    def __call__(self, tiles: TileInputs, *, capacity: int) -> TileResults:
        """Run some tiles, at most ``capacity``: the number that the program is compiled for."""
        count, slots = len(tiles.seed), max(2, -(-capacity // self._devices))
        # Tile t goes to slot t // devices of device t % devices; empty slots repeat a tile, unrun.
        places = np.arange(slots)[None, :] * self._devices + np.arange(self._devices)[:, None]
        rows = jnp.asarray(np.minimum(places.reshape(-1), count - 1))
        counts = jnp.asarray((places < count).sum(axis=1), jnp.int32)
        results = self._run(counts, jax.tree.map(lambda leaf: leaf[rows], tiles), self._splits)
        where = np.argsort(places.reshape(-1))[:count]
        return jax.tree.map(lambda leaf: np.asarray(leaf)[where], results)


def _run_tiles(
    init: Init, learner: Learner, count: Int[Array, " 1"], tiles: TileInputs, splits: Splits
) -> TileResults:
    """Run the first ``count`` of a device's tiles, one after another."""

    def tile_at(index: Int[Array, ""]) -> TileInputs:
        return jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), tiles
        )

    def run(index: Int[Array, ""], results: TileResults) -> TileResults:
        return jax.tree.map(
            lambda rows, row: jax.lax.dynamic_update_index_in_dim(rows, row, index, 0),
            results,
            _run_tile(init, learner, tile_at(index), splits),
        )

    first = jnp.zeros((), jnp.int32)
    shapes = jax.eval_shape(lambda: _run_tile(init, learner, tile_at(first), splits))
    empty = jax.tree.map(lambda leaf: jnp.zeros((len(tiles.seed), *leaf.shape), leaf.dtype), shapes)
    return jax.lax.fori_loop(0, count[0], run, empty)


def _run_tile(init: Init, learner: Learner, tile: TileInputs, splits: Splits) -> TileResults:
    """Train the cells of one tile side by side, from the same parameters."""
    params = init(role_keys(tile.seed).init)
    start = [learner.evaluate(params, split) for split in (splits.train, splits.validation)]

    def run_cell(rates: Float[Array, "periods steps"]) -> TileResults:
        state, (_, *curves) = run_periods(
            init_state(params, learner),
            rates,
            tile.order,
            splits.train,
            splits.validation,
            learner=learner,
        )
        train, validation = (
            jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), *pair)
            for pair in zip(start, curves, strict=True)
        )
        finite = state.finite & jnp.all(jnp.isfinite(train.loss))
        test = learner.evaluate(state.params, splits.test)
        return TileResults(train, validation, test, finite)

    return jax.vmap(run_cell)(tile.rates)
