"""Short runs of many rates and seeds: one compiled program for every horizon."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from jax_backprop.engine.program import make_mesh
from jax_backprop.engine.tile_program import map_tiles
from jax_backprop.engine.tiles import cell_size, tile_width
from jax_backprop.training import epoch_orders, role_keys
from jax_backprop.types import Batch, Device, Scalar

TrainingStep: TypeAlias = Callable[[Any, Batch, Scalar], tuple[Any, Scalar]]
NUMBER = jax.Array | np.ndarray | np.generic | float | int  # what a step may change of a state
WIDEST = 16  # rates a tile: a round has few more
SLOTS = 2  # tiles a device and call: progress is told, and signals are looked at, between calls


class Trainer(NamedTuple):
    """How a run begins, goes on and is judged: pure functions.

    Args:
      init: ``key -> state``, called once a seed and never traced.
      step: ``(state, batch, rate) -> (state, loss)``, the loss of its batch before the update.
      evaluate: ``(state, batch) -> loss``.
    """

    init: Callable[[Array], Any]
    step: TrainingStep
    evaluate: Callable[[Any, Batch], Scalar]


class Trial(NamedTuple):
    """One run: the seed of its initial state and order of examples, and its schedule's peak."""

    seed: int
    rate: float


class Trials:
    """Runs trials of one trainer on one data set; compiled once, whatever rates and horizons."""

    def __init__(
        self,
        trainer: Trainer,
        train: Batch,
        validation: Batch,
        *,
        batch_size: int | None,
        longest: int,
        devices: Sequence[Device] | None = None,
    ) -> None:
        """Lay the program out; it is traced by the first run.

        Args:
          trainer: whose runs they are.
          train, validation: what is trained on, and judges.
          batch_size: examples a step; None for all.
          longest: steps of the longest run.
          devices: by default all local ones.
        """
        devices = list(devices or jax.local_devices())
        self._trainer, self._longest, self._states = trainer, longest, {}
        self._sharding = NamedSharding(make_mesh(devices), PartitionSpec("tiles"))
        self._data = jax.tree.map(jnp.asarray, (train, validation))
        self._slots, self._devices = SLOTS * len(devices), len(devices)
        arrays, self._fixed = parted(self._state(0))
        examples = batch_size or train.examples
        rows = int(np.prod(train.inputs.shape[1:])) * train.inputs.dtype.itemsize
        shapes = [jax.ShapeDtypeStruct(np.shape(leaf), jnp.result_type(leaf)) for leaf in arrays]
        self.width = min(
            WIDEST, tile_width(cell_size(shapes, examples, rows, 1), devices[0].platform)
        )
        tile = functools.partial(_run_tile, trainer, self._fixed, batch_size, self.width)
        self._program = jax.jit(
            jax.shard_map(
                lambda counts, tiles, *shared: map_tiles(
                    lambda tile_: tile(*tile_, *shared), counts, tiles
                ),
                mesh=self._sharding.mesh,
                in_specs=(PartitionSpec("tiles"),) * 2 + (PartitionSpec(),) * 4,
                out_specs=PartitionSpec("tiles"),
                check_vma=False,
            )
        )

    def run(
        self, trials: Sequence[Trial], shape: Float[np.ndarray, " steps"]
    ) -> Iterator[
        tuple[list[int], Float[np.ndarray, " trials"], Float[np.ndarray, "trials steps"]]
    ]:
        """Run trials of as many steps as the schedule's shape is long.

        Yields which trials are done, their losses on validation at the end, and (trials, steps) the
        losses of each step's batch before its update.
        """
        padded = np.zeros(self._longest)
        padded[: len(shape)] = shape
        tiles = list(self._tiles(trials))
        for first in range(0, len(tiles), self._slots):
            chosen = tiles[first : first + self._slots]
            final, losses = self._call(trials, chosen, padded, len(shape))
            for lanes, ends, along in zip(chosen, final, losses, strict=False):
                yield lanes, ends[: len(lanes)], along[: len(shape), : len(lanes)].T

    def _tiles(self, trials: Sequence[Trial]) -> Iterator[list[int]]:
        """Yield the trials of each tile: all of one seed, whose batches they share."""
        for seed in dict.fromkeys(trial.seed for trial in trials):
            own = [index for index, trial in enumerate(trials) if trial.seed == seed]
            for first in range(0, len(own), self.width):
                yield own[first : first + self.width]

    def _call(
        self, trials: Sequence[Trial], chosen: list[list[int]], shape: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run some tiles, at most one a slot: tile t in slot t // devices of device t % devices."""
        places = np.arange(self._slots).reshape(-1, self._devices).T.reshape(-1)
        tiles = [chosen[min(place, len(chosen) - 1)] for place in places]
        seeds = [trials[lanes[0]].seed for lanes in tiles]
        peaks = np.array([[trials[n].rate for n in _filled(lanes, self.width)] for lanes in tiles])
        states = [parted(self._state(seed))[0] for seed in seeds]
        stacked = [jnp.stack(leaves) for leaves in zip(*states, strict=True)]
        counts = (places.reshape(self._devices, -1) < len(chosen)).sum(axis=1).astype(np.int32)
        put = functools.partial(jax.device_put, device=self._sharding)
        placed = (stacked, jnp.asarray(peaks), jnp.asarray(seeds, jnp.int32))
        found = self._program(
            put(counts), put(placed), jnp.asarray(shape), jnp.asarray(steps), *self._data
        )
        back = np.argsort(places)
        final, losses = (np.asarray(each)[back] for each in found)
        return final, losses

    def _state(self, seed: int) -> Any:
        if seed not in self._states:
            self._states[seed] = self._trainer.init(role_keys(seed).init)
        return self._states[seed]


def _filled(lanes: list[int], width: int) -> list[int]:
    """Return the trials of a tile's lanes, the last one repeated where there are too few."""
    return lanes + lanes[-1:] * (width - len(lanes))


def parted(state: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return a state's numbers, and what puts them back among its other leaves, functions say."""
    leaves, structure = jax.tree.flatten(state)
    is_number = [isinstance(leaf, NUMBER) for leaf in leaves]
    others = [None if number else leaf for leaf, number in zip(leaves, is_number, strict=True)]

    def whole(numbers: list[Any]) -> Any:
        rest = iter(numbers)
        filled = [next(rest) if n else leaf for leaf, n in zip(others, is_number, strict=True)]
        return jax.tree.unflatten(structure, filled)

    return [jnp.asarray(leaf) for leaf, n in zip(leaves, is_number, strict=True) if n], whole


def _run_tile(
    trainer: Trainer,
    whole: Callable[[list[Any]], Any],
    batch_size: int | None,
    width: int,
    state: list[Any],
    peaks: Float[Array, " width"],
    seed: Int[Array, ""],
    shape: Float[Array, " longest"],
    steps: Int[Array, ""],
    train: Batch,
    validation: Batch,
) -> tuple[Float[Array, " width"], Float[Array, "longest width"]]:
    """Run one seed at several rates; return the losses at the end, and those along the way."""
    examples, key = train.examples, role_keys(seed).order
    an_epoch = examples // batch_size if batch_size else 1

    def one(numbers: list[Any], batch: Batch, rate: Scalar) -> tuple[list[Any], Scalar]:
        state, loss = trainer.step(whole(numbers), batch, rate)
        moved = zip(parted(state)[0], numbers, strict=True)
        same = [new.astype(old.dtype) for new, old in moved]
        return same, jnp.asarray(loss, shape.dtype)

    def orders(epoch: Int[Array, ""]) -> Int[Array, "steps batch"]:
        return epoch_orders(key, epoch, epochs=1, examples=examples, batch_size=batch_size or 1)

    def body(step: Int[Array, ""], carry: Any) -> Any:
        numbers, losses, order = carry
        batch = train
        if batch_size:
            within = step % an_epoch
            order = jax.lax.cond(within == 0, lambda: orders(step // an_epoch), lambda: order)
            batch = train.take(order[within])
        numbers, loss = jax.vmap(one, in_axes=(0, None, 0))(numbers, batch, peaks * shape[step])
        return numbers, losses.at[step].set(loss), order

    numbers = [jnp.broadcast_to(leaf, (width, *leaf.shape)) for leaf in state]
    losses = jnp.full((len(shape), width), jnp.nan, shape.dtype)
    order = jnp.zeros((an_epoch, batch_size), jnp.int32) if batch_size else None
    numbers, losses, _ = jax.lax.fori_loop(0, steps, body, (numbers, losses, order))
    final = jax.vmap(lambda each: trainer.evaluate(whole(each), validation))(numbers)
    return jnp.asarray(final, shape.dtype), losses
