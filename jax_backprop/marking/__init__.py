"""Students' own steps: conventions found, mistakes named, folders of submissions marked.

NumPy alone: nothing here imports jax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.marking.report import StepReport, StepsReport
    from jax_backprop.marking.steps import check_steps

__all__ = ["StepReport", "StepsReport", "check_steps"]

__getattr__, __dir__ = lazy(
    __name__, {"report": ("StepReport", "StepsReport"), "steps": ("check_steps",)}
)
