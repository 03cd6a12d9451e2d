"""Figures and the page of a study; imported on first use, as tables alone need no charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.report.page import write_figures, write_report
    from jax_backprop.report.tables import best_table, what_was_run

__all__ = ["best_table", "what_was_run", "write_figures", "write_report"]

__getattr__, __dir__ = lazy(
    __name__, {"page": ("write_figures", "write_report"), "tables": ("best_table", "what_was_run")}
)
