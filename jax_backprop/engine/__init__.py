"""The sweep engine: a grid of training runs as a few compiled programs, its results on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.engine.folders import load_tables, merge
    from jax_backprop.engine.grid import Cells, Grid
    from jax_backprop.engine.options import InterruptedSweepError, Options
    from jax_backprop.engine.progress import SweepProgress
    from jax_backprop.engine.rounds import run_rounds
    from jax_backprop.engine.store import load_study
    from jax_backprop.engine.studies import run_shard, run_study
    from jax_backprop.engine.sweeping import sweep
    from jax_backprop.engine.tables import Tables

__all__ = [
    "Cells",
    "Grid",
    "InterruptedSweepError",
    "Options",
    "SweepProgress",
    "Tables",
    "load_study",
    "load_tables",
    "merge",
    "run_rounds",
    "run_shard",
    "run_study",
    "sweep",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "sweeping": ("sweep",),
        "folders": ("load_tables", "merge"),
        "grid": ("Cells", "Grid"),
        "options": ("InterruptedSweepError", "Options"),
        "progress": ("SweepProgress",),
        "rounds": ("run_rounds",),
        "store": ("load_study",),
        "studies": ("run_shard", "run_study"),
        "tables": ("Tables",),
    },
)
