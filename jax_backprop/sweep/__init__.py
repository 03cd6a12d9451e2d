"""The sweep engine: a grid of training runs as one compiled program, its results on disk."""

from jax_backprop.sweep.engine import Progress, sweep
from jax_backprop.sweep.grid import Cell, Grid
from jax_backprop.sweep.store import load_study
from jax_backprop.sweep.studies import run_study
from jax_backprop.sweep.tables import Tables

__all__ = ["Cell", "Grid", "Progress", "Tables", "load_study", "run_study", "sweep"]
