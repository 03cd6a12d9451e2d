"""Which equation of a loss has the wrong backward, and what is wrong with it."""

from jax_backprop.referee.naming.diagnosing import diagnose
from jax_backprop.referee.naming.facts import Facts

__all__ = ["Facts", "diagnose"]
