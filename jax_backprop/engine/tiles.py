"""Cells laid out in tiles of a fixed width, tiles in shards: from shapes alone.

How many cells share a program changes their last bits, so the width is part of a study's identity
and comes from a fixed rule, never from a stopwatch; so does what one part of the store holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_backprop.blocks import default_block_size

MIN_WIDTH = 4
ALONE_UNITS = 512  # cells with layers so wide run one after another
MAX_SHARD_VALUES = 2e7  # losses a shard keeps on the host


class Room(NamedTuple):
    """What suits a kind of device.

    Args:
      tile_bytes: what the cells of a tile touch: a core's cache, or a share of a GPU's memory.
      widest: most cells a tile.
      shard_work: floating-point operations a shard: about a second of work.
      shard_tiles: least tiles a shard: on a CPU so many devices share even the heaviest one.
      segment_work: operations a compiled segment, about half a second: how long a signal waits.
    """

    tile_bytes: int
    widest: int
    shard_work: float
    shard_tiles: int
    segment_work: float


CPU = Room(256 * 1024, 64, 1e11, 8, 1e11)
# A step is bound by its launches until a tile is thousands wide (`make gpu`, rows "training").
GPU = Room(4 * 1024**3, 65_536, 5e12, 2, 2.5e12)


CACHED = 1 << 17  # numbers that stay in a core's cache while the host works on them


def cached(rows: int, numbers: int) -> Iterator[slice]:
    """Yield slices of rows, of so many numbers each, that the host handles in a core's cache.

    Eight times as fast as all at once, for the statistics of 65,536 runs of 200 steps.
    """
    length = max(1, CACHED // max(1, numbers))
    return (slice(first, first + length) for first in range(0, rows, length))


def room(platform: str) -> Room:
    """Return what suits the devices of a platform."""
    return CPU if platform == "cpu" else GPU


class Layout(NamedTuple):
    """Cells in tiles, tiles in shards.

    Args:
      rows: (tiles, width), the cell in each lane; the last lanes of a tile repeat its last cell
        where ``real`` is less than the width.
      real: (tiles,), how many lanes of a tile are cells of their own.
      shard_tiles: tiles a shard, the last one fewer.
      share: (part, of): of every shard, the tiles of one of so many machines.
      before: how many tiles of the study come before these: what is left over when a shard's tiles
        are shared out goes to another machine each time.
    """

    rows: np.ndarray
    real: np.ndarray
    shard_tiles: int
    share: tuple[int, int] = (1, 1)
    before: int = 0

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.rows) // self.shard_tiles)

    @property
    def capacity(self) -> int:
        """The most tiles of a shard."""
        return min(self.shard_tiles, len(self.rows))

    def shard(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and real lanes of one shard's tiles, or of this share of them."""
        first, count = self.slice(index)
        tiles = slice(index * self.shard_tiles + first, index * self.shard_tiles + first + count)
        return self.rows[tiles], self.real[tiles]

    def slice(self, index: int) -> tuple[int, int]:
        """Return the first of a shard's tiles that this share takes, and how many it takes."""
        first = index * self.shard_tiles
        numbers = self.before + np.arange(first, min(first + self.shard_tiles, len(self.rows)))
        part, of = self.share
        counts = np.bincount(numbers % of, minlength=of)
        return int(counts[: part - 1].sum()), int(counts[part - 1])


class Size(NamedTuple):
    """What one cell of a group takes.

    Args:
      params: number of parameters.
      params_bytes: of them.
      batch: examples a step.
      batch_bytes: of those examples.
      steps: updates.
      units: of the widest layer, inputs apart: the longest last axis of the parameters.
      block: examples that are evaluated at once.
    """

    params: int
    params_bytes: int
    batch: int
    batch_bytes: int
    steps: int
    units: int = 1
    block: int = 0

    @property
    def work(self) -> float:
        """Floating-point operations of a run: forward, and twice that backward."""
        return 6.0 * self.params * self.batch * self.steps


def cell_size(params: Any, batch: int, example_bytes: int, steps: int, examples: int = 0) -> Size:
    """Return a cell's size from the shapes of its parameters (``jax.eval_shape`` of ``init``).

    Args:
      params: shapes and types.
      batch, steps: as of ``Size``.
      example_bytes: of the features of one.
      examples: of the train split.
    """
    leaves = jax.tree.leaves(params)
    return Size(
        params=sum(leaf.size for leaf in leaves),
        params_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in leaves),
        batch=batch,
        batch_bytes=batch * example_bytes,
        steps=steps,
        units=max((leaf.shape[-1] for leaf in leaves if leaf.ndim), default=1),
        block=min(examples, default_block_size()),
    )


def tile_width(size: Size, platform: str = "cpu", cells: int | None = None) -> int:
    """Return how many cells share a tile: a power of two, from shapes alone.

    Not from how many cells there are: a study that grows would change its bits. On a GPU it is no
    wider than the cells that a study begins with need: thousands of lanes would be empty.

    Measured (``make bench``): 8 is best at 64-32-10 with batches of 32, 4 at 784-128-10 with 128.
    Layers of 512 units and more are fastest alone: seconds at widths 1, 2, 4 and of single runs, on
    two cores: 64-512-10, batches of 8: 0.104, 0.140, 0.134; 0.094. 64-1024-10, batches of 1,024:
    0.248, 0.329, 0.403; 0.406. So the least width falls with the units: 4 to 128, 2 at 256, 1.

    Args:
      size: of a cell.
      platform: ``cpu``, or a GPU's.
      cells: the most that could share a tile when the study begins.
    """
    most, widest = room(platform).tile_bytes, room(platform).widest
    cell_bytes = 2 * size.params_bytes + size.batch_bytes  # parameters, gradient, examples
    if platform != "cpu":
        cell_bytes += 4 * size.units * size.block
        widest = min(widest, 2 ** math.ceil(math.log2(max(1, cells or widest))))
    width = max(1, min(MIN_WIDTH, 2 ** int(math.log2(ALONE_UNITS / size.units))))
    while width < widest and width * 2 * cell_bytes <= most:
        width *= 2
    return width


def lanes_last(size: Size) -> bool:
    """Tell whether cells run faster in the last axis: so small that the widest tile fits a cache.

    Measured: 1.6 times the speed at 16-16-2 with 16 examples, where 64 fit; 0.7 times at 64-8-10
    with batches of 32, where 16 do.
    """
    return tile_width(size) == CPU.widest


def lay_out(sharing: np.ndarray, width: int, size: Size, platform: str = "cpu") -> Layout:
    """Cut cells into tiles and tiles into shards.

    Args:
      sharing: (cells,), equal for cells that may share a tile. Those of one seed do with
        mini-batches: they share each batch, and one product serves all their first layers (1.2
        times the speed at 64-32-10).
      width: cells a tile.
      size: of a cell.
      platform: of the devices.
    """
    order = np.argsort(sharing, kind="stable")
    _, starts, counts = np.unique(sharing[order], return_index=True, return_counts=True)
    tiles = -(-counts // width)
    owner = np.repeat(np.arange(len(counts)), tiles)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(tiles) - tiles, tiles)
    first = starts[owner] + within * width
    last = (starts + counts)[owner] - 1
    places = np.minimum(first[:, None] + np.arange(width), last[:, None])
    work, values = size.work * width, width * size.steps
    least, most = room(platform).shard_tiles, room(platform).shard_work
    shard_tiles = int(max(least, min(most / work, MAX_SHARD_VALUES / values)))
    return Layout(order[places], np.minimum(width, last - first + 1), shard_tiles)


def segment_length(periods: int, work: float, platform: str = "cpu") -> int:
    """Return how many periods a compiled segment holds: the divisor of them nearest to the wish.

    A divisor, so that every segment is the same program.

    Args:
      periods: of a run.
      work: floating-point operations of a whole shard.
      platform: of the devices.
    """
    wish = max(1.0, periods * min(1.0, room(platform).segment_work / work))
    small = [length for length in range(1, math.isqrt(periods) + 1) if periods % length == 0]
    divisors = sorted({*small, *(periods // length for length in small)})
    return min(divisors, key=lambda length: abs(math.log(length / wish)))
