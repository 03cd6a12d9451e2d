"""What several analyses say in the same words."""

from __future__ import annotations

from jax_backprop.study.comparisons import Difference


def times(found: Difference) -> str:
    """Return a difference of decimal logarithms as a factor, with its interval."""
    mean, low, high = (10.0**value for value in (found.mean, found.low, found.high))
    return f"{mean:.3g} [{low:.2g}, {high:.2g}]"
