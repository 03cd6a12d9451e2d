"""How a sweep is run, and what it tells meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import jax

from jax_backprop.engine.grid import MAX_CELLS
from jax_backprop.engine.progress import SweepProgress
from jax_backprop.types import Device

CPU_BYTES = 8 * 1024**3
GPU_SHARE = 0.75


class InterruptedSweepError(Exception):
    """Asked to stop: what was finished is saved, and the same call continues."""


@dataclass(frozen=True)
class Options:
    """How a sweep is run, which its results don't depend on (the width apart).

    Args:
      tile_width: cells that share a tile, instead of the rule's.
      devices: by default all local ones; an ``executor``'s workers use their own.
      executor: any ``concurrent.futures.Executor`` that computes the shards instead, or a function
        that makes one, called again when a pool breaks. Its processes must not be forked after JAX
        has computed: ``multiprocessing.get_context("spawn")``, loky or Dask.
      share: (part, of): only every ``of``-th shard, starting with the ``part``-th.
      max_cells: a larger grid is refused.
      max_bytes: temporaries on one device, by default 8 GiB, or three quarters of a GPU's memory; a
        program that needs more gets narrower tiles.
      on_progress: called after each segment.
      should_stop: asked after each segment; True ends the run by ``InterruptedSweepError``.
      on_notice: called with a sentence on what the user should know.

    Example:
      >>> Options(tile_width=16, max_bytes=2**30).room == 2**30
      True
    """

    tile_width: int | None = None
    devices: Sequence[Device] = field(default_factory=jax.local_devices)
    executor: Executor | Callable[[], Executor] | None = None
    share: tuple[int, int] = (1, 1)
    max_cells: int = MAX_CELLS
    max_bytes: int | None = None
    on_progress: Callable[[SweepProgress], None] = lambda progress: None
    should_stop: Callable[[], bool] = lambda: False
    on_notice: Callable[[str], None] = lambda sentence: None

    @property
    def room(self) -> int:
        """Bytes that the temporaries of a program may take on each device."""
        if self.max_bytes is not None:
            return self.max_bytes
        if self.devices[0].platform == "cpu":
            return CPU_BYTES
        stats: Mapping[str, int] = self.devices[0].memory_stats() or {}
        return int(GPU_SHARE * stats["bytes_limit"]) if "bytes_limit" in stats else CPU_BYTES
