"""Figures and the page of a study."""

from jax_backprop.report.page import write_report
from jax_backprop.report.tables import best_table, what_was_run

__all__ = ["best_table", "what_was_run", "write_report"]
