"""Figures and the page of a study."""

from jax_backprop.report.page import best_table, what_was_run, write_report

__all__ = ["best_table", "what_was_run", "write_report"]
