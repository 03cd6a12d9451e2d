"""The learning rate for a network by short trainings, and the rules of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.finding.find import InterruptedSearchError, find_learning_rate
    from jax_backprop.finding.found import FoundRate
    from jax_backprop.finding.rounds import search
    from jax_backprop.finding.rules import FINDERS, range_test_rates
    from jax_backprop.finding.searched import NoRateError

__all__ = [
    "FINDERS",
    "FoundRate",
    "InterruptedSearchError",
    "NoRateError",
    "find_learning_rate",
    "range_test_rates",
    "search",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "find": ("InterruptedSearchError", "find_learning_rate"),
        "found": ("FoundRate",),
        "rules": ("FINDERS", "range_test_rates"),
        "rounds": ("search",),
        "searched": ("NoRateError",),
    },
)
