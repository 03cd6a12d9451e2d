"""The compiled program of a sweep: tiles mapped one after another on every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from jax_backprop.training import Learner, init_state, role_keys, run_periods
from jax_backprop.types import Batch, Evaluation, Init


class Splits(NamedTuple):
    """The data on the device, shared by every cell."""

    train: Batch
    validation: Batch
    test: Batch


class TileInputs(NamedTuple):
    """What tells tiles apart, in dtypes that shard: arrays led by the axis of tiles."""

    seed: Int[Array, " tiles"]
    rates: Float[Array, "tiles width periods steps"]
    order: Int[Array, "tiles periods steps batch"] | None


class TileResults(NamedTuple):
    """What a cell leaves behind: its curves from the start on, and its test result."""

    train: Evaluation  # (tiles, width, periods + 1)
    validation: Evaluation
    test: Evaluation  # (tiles, width)
    finite: Bool[Array, "tiles width"]


Program = Callable[[TileInputs, Splits], TileResults]


def make_program(
    init: Init, learner: Learner, devices: Sequence[jax.Device] | None = None
) -> tuple[Program, int]:
    """Return the jitted program over some devices, by default all local ones, and their number.

    The tile is the same program wherever and beside whomever it runs, which is why its bits don't
    depend on the number of devices; whole tiles are shared out, never parts of one.
    """

    def run_tile(tile: TileInputs, splits: Splits) -> TileResults:
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

    def run_tiles(tiles: TileInputs, splits: Splits) -> TileResults:
        return jax.lax.map(lambda tile: run_tile(tile, splits), tiles)

    chosen = list(devices) if devices is not None else jax.local_devices()
    mesh = jax.make_mesh((len(chosen),), ("tiles",), axis_types=(AxisType.Auto,), devices=chosen)
    sharded = jax.shard_map(
        run_tiles,
        mesh=mesh,
        in_specs=(PartitionSpec("tiles"), PartitionSpec()),
        out_specs=PartitionSpec("tiles"),
        check_vma=False,  # a scan's carry starts the same on every device and then varies
    )
    return jax.jit(sharded), mesh.size


def pad_tiles(inputs: TileInputs, multiple: int) -> TileInputs:
    """Repeat the last tile until the tiles share out evenly over the devices."""

    def pad(leaf: Any) -> Any:
        missing = -leaf.shape[0] % multiple
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], missing, axis=0)]) if missing else leaf

    return jax.tree.map(pad, inputs)
