"""A candidate, and the backward pass that it is a candidate for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jax_backprop.referee.naming.equations import Equation
from jax_backprop.referee.naming.passes import Arrays, Backward, Passes

FACTORS = (0.0, -1.0, 2.0, 0.5)  # of a cotangent's mistakes, the usual ones
NICE = 1e-6  # how near a factor has to be to one of them
LIKE = 24  # other arrays of the same shape that may have been taken for the right one


class Candidate(NamedTuple):
    """One wrong pullback.

    Args:
      equation, place: whose, and of which operand; -1: of the sum over all uses of its output.
      kind: what is wrong, in a few words.
      rank: what to say first where two have the same effect, 0 first.
      slot: where the cotangent is off.
      make: the error there.
      scaled: the error is known up to a factor.
      anywhere: its words are the same in every step of a loop, whatever the rank.
    """

    equation: int
    place: int
    kind: str
    rank: int
    slot: int
    make: Callable[[], np.ndarray]
    scaled: bool = False
    anywhere: bool = False


class Found(NamedTuple):
    """A candidate that makes the error, or of several mistakes its part, by which factor."""

    candidate: Candidate
    factor: float
    error: np.ndarray  # at the candidate's slot

    @property
    def rank(self) -> float:
        """What to say first of mistakes that have the same effect: the simplest."""
        if self.candidate.kind != "factor":
            return float(self.candidate.rank)
        left = 1 + self.factor
        if abs(left) < NICE:
            return -0.5
        usual = any(abs(left - value) < NICE for value in FACTORS)
        return 1.5 if usual else float(self.candidate.rank)


class Context(NamedTuple):
    """A backward pass that may have gone wrong: the errors in it so far, by slot."""

    passes: Passes
    back: Backward
    errors: Arrays

    def with_error(self, slot: int, error: np.ndarray) -> Context:
        """Return the pass with one more error."""
        errors = {**self.errors, slot: self.errors.get(slot, 0) + error}
        return Context(self.passes, self.passes.backward(self.passes.start | errors), errors)

    def equation(self, number: int) -> Equation:
        """Return one equation."""
        return self.passes.program.equations[number]

    def described(self, slot: int) -> str:
        """Return an array in words."""
        return self.passes.described(slot)

    @property
    def values(self) -> Arrays:
        """Each slot's value."""
        return self.passes.values


New = Callable[..., Candidate]


def alike(at: Context, slot: int, *, turned: bool = False) -> list[int]:
    """Return the nearest other slots of the same shape, or of the shape turned around."""
    shape = at.values[slot].shape
    wanted = shape[::-1] if turned else shape
    found = [
        n
        for n, value in at.values.items()
        if value.shape == wanted and value.dtype.kind == "f" and n != slot
    ]
    return sorted(found, key=lambda n: abs(n - slot))[:LIKE] if shape else []
