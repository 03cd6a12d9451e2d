"""The sweep engine: a grid of training runs as a few compiled programs, its results on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.sweep.engine import sweep
    from jax_backprop.sweep.folders import load_tables, merge
    from jax_backprop.sweep.grid import Cells, Grid
    from jax_backprop.sweep.options import InterruptedSweepError, Options
    from jax_backprop.sweep.progress import Progress
    from jax_backprop.sweep.rounds import run_rounds
    from jax_backprop.sweep.store import load_study
    from jax_backprop.sweep.studies import run_study
    from jax_backprop.sweep.tables import Tables

__all__ = [
    "Cells",
    "Grid",
    "InterruptedSweepError",
    "Options",
    "Progress",
    "Tables",
    "load_study",
    "load_tables",
    "merge",
    "run_rounds",
    "run_study",
    "sweep",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "engine": ("sweep",),
        "folders": (
            "load_tables",
            "merge",
        ),
        "grid": (
            "Cells",
            "Grid",
        ),
        "options": (
            "InterruptedSweepError",
            "Options",
        ),
        "progress": ("Progress",),
        "rounds": ("run_rounds",),
        "store": ("load_study",),
        "studies": ("run_study",),
        "tables": ("Tables",),
    },
)
