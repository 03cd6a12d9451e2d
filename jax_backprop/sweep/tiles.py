"""Cells laid out in tiles of a fixed width: the unit that a compiled program runs.

How many cells share a program changes their last bits, so the width is part of a study's identity
and comes from a fixed rule, never from a stopwatch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import jax

from jax_backprop.sweep.grid import Cell

TILE_BYTES = 256 * 1024  # what the cells of a tile touch each step should fit in a core's cache
MIN_WIDTH, MAX_WIDTH = 4, 64
SHARD_TILES = 16  # tiles a shard: a second or so of work, saved as one part


class Tile(NamedTuple):
    """Cells of one seed that run side by side; the last are repeats where ``real`` is less."""

    seed: int
    cells: tuple[Cell, ...]
    real: int


def tile_width(params: Any, batch_bytes: int, cells_a_seed: int) -> int:
    """Return how many cells share a tile: a power of two, from shapes alone.

    Measured (``make bench``): 8 is best at 64-32-10 with batches of 32, 4 at 784-128-10 with 128.

    Args:
      params: shapes of a cell's parameters (arrays, or ``jax.eval_shape`` of ``init``).
      batch_bytes: of one step's examples.
      cells_a_seed: the most cells of any seed; a tile is never wider than they need.
    """
    params_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    cell_bytes = 2 * params_bytes + batch_bytes  # parameters, gradient, examples
    width = MIN_WIDTH
    while width < MAX_WIDTH and width * 2 * cell_bytes <= TILE_BYTES:
        width *= 2
    needed = 1
    while needed < min(cells_a_seed, width):
        needed *= 2
    return needed


def lay_out(cells: Sequence[Cell], width: int) -> list[Tile]:
    """Cut the cells of each seed into tiles; the last of a seed is filled with repeats.

    Cells of one tile share a seed, so they share each batch: one product serves all their first
    layers (1.2 times the speed at 64-32-10).
    """
    tiles = []
    for seed, group in groupby(sorted(cells, key=lambda cell: cell.seed), lambda cell: cell.seed):
        members = list(group)
        for start in range(0, len(members), width):
            chosen = members[start : start + width]
            filled = chosen + chosen[-1:] * (width - len(chosen))
            tiles.append(Tile(seed, tuple(filled), len(chosen)))
    return tiles


def shards(tiles: Sequence[Tile]) -> list[list[Tile]]:
    """Cut the tiles into shards: what one call runs, and one part of the store holds."""
    return [list(tiles[start : start + SHARD_TILES]) for start in range(0, len(tiles), SHARD_TILES)]
