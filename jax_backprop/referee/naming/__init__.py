"""Which equation of a loss has the wrong backward, and what is wrong with it."""

from jax_backprop.referee.facts import Facts
from jax_backprop.referee.naming.diagnosing import diagnose

__all__ = ["Facts", "diagnose"]
