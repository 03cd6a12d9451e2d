"""Sums over the examples of a batch, taken block by block in memory that doesn't grow with N."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jax_backprop.types import Batch

_Sum = TypeVar("_Sum")

# Rows a block: the fastest of 128 to 16,384 at 60,000 x 784 and as fast as any at digits' size
# (`make bench`, rows "block size"): a block's activations then fit a core's cache.
BLOCK_SIZE = 1024
GPU_BLOCK_SIZE = 8192  # as fast as twice as many, and 2.4 times as fast as 1,024 (`make gpu`)
BlockSize = int | Literal["auto"] | None
PARTS = 8  # of a batch that is shared out: so many devices at most


def default_block_size() -> int:
    """Return the rows of a block that suit the device that JAX computes on."""
    return BLOCK_SIZE if jax.default_backend() == "cpu" else GPU_BLOCK_SIZE


def sum_over_blocks(
    function: Callable[[Batch], _Sum], batch: Batch, block_size: BlockSize = "auto"
) -> _Sum:
    """Return ``function(batch)`` for a function that is a sum over examples.

    Args:
      function: maps a block of examples to a pytree of arrays, each a sum over its examples.
      batch: the examples.
      block_size: rows a block, by default what suits the device; None, or no less than the batch,
        for a single block.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_backprop import Batch
      >>> batch = Batch(jnp.ones((5, 1)), jnp.arange(5))
      >>> sum_over_blocks(lambda block: jnp.sum(block.labels), batch, block_size=2)
      Array(10, dtype=int32)
    """
    if (devices := _SHARED_OUT.get()) is not None:
        return sum_over_parts(
            lambda _, part: sum_over_blocks(function, part, block_size), batch, devices
        )
    examples = batch.examples
    if block_size == "auto":
        block_size = default_block_size()
    if block_size is None or examples <= block_size:
        return function(batch)
    whole, rest = divmod(examples, block_size)

    def add_block(index: jax.Array, total: _Sum) -> _Sum:
        start = index * block_size
        block = jax.tree.map(
            lambda rows: jax.lax.dynamic_slice_in_dim(rows, start, block_size), batch
        )
        return jax.tree.map(jnp.add, total, function(block))

    first = function(jax.tree.map(lambda rows: rows[:block_size], batch))
    total = jax.lax.fori_loop(1, whole, add_block, first)
    if rest:
        last = function(jax.tree.map(lambda rows: rows[whole * block_size :], batch))
        total = jax.tree.map(jnp.add, total, last)
    return total


class Devices(NamedTuple):
    """Devices that run one program, each knowing its place along an axis of that name."""

    axis: str
    size: int


_SHARED_OUT: ContextVar[Devices | None] = ContextVar("shared_out", default=None)


@contextlib.contextmanager
def shared_out(devices: Devices | None) -> Iterator[None]:
    """Trace sums over blocks as sums over parts, within ``jax.shard_map`` over so many devices."""
    token = _SHARED_OUT.set(devices)
    try:
        yield
    finally:
        _SHARED_OUT.reset(token)


def parts_of(examples: int) -> int:
    """Return how many parts so many examples are cut into."""
    return min(PARTS, examples)


def sum_over_parts(
    function: Callable[[Int[Array, ""] | int, Batch], _Sum], batch: Batch, devices: Devices
) -> _Sum:
    """Return the sum of ``function(number, part)`` over the parts of a batch that all devices have.

    How a batch is cut depends on its size alone. Each device takes its share of the parts; every
    one is told all of their sums and adds these in one order. So the bits are the same however
    many devices there are.
    """
    parts = parts_of(batch.examples)
    rows, share = batch.examples // parts, -(-parts // devices.size)

    first = jax.lax.axis_index(devices.axis) * share

    def one(number: Int[Array, ""]) -> _Sum:
        take = functools.partial(
            jax.lax.dynamic_slice_in_dim, start_index=number * rows, slice_size=rows
        )
        return function(number, jax.tree.map(take, batch))

    def put_one(index: Int[Array, ""], sums: _Sum) -> _Sum:
        return jax.tree.map(lambda all_, own: all_.at[index].set(own), sums, one(first + index))

    def added(own: Array) -> Array:
        sums = jax.lax.all_gather(own, devices.axis, tiled=True)
        return functools.reduce(jnp.add, [sums[number] for number in range(parts)])

    with shared_out(None):
        sums = jax.tree.map(
            lambda each: jnp.zeros((share, *each.shape), each.dtype), jax.eval_shape(one, first)
        )
        # So many turns as only the device knows: the compiler would put a single one into what is
        # around it, with other bits.
        turns = jnp.clip(parts - first, 0, share)
        total = jax.tree.map(added, jax.lax.fori_loop(0, turns, put_one, sums))
        if batch.examples > parts * rows:
            rest = function(parts, batch.take(slice(parts * rows, None)))
            total = jax.tree.map(jnp.add, total, rest)
    return total
