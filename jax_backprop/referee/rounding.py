"""How far from the truth right code may be: what rounding does to a gradient at a point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jax_backprop.referee.case import EPS32, Case, Values
from jax_backprop.referee.directions import EPS

NEIGHBOURS = 4


class Rounding(NamedTuple):
    """Autodiff's distance from float64 by rounding alone, absolute, a leaf each.

    Args:
      own: in the judged dtype at the point.
      single: the largest in float32, at the point and a few eps beside it.
      moved: how far the gradient itself moves by these few eps of float32: right code whose
        rounding is like another rounding of its arguments is off by as much.
    """

    own: list[np.ndarray] | None
    single: list[np.ndarray] | None
    moved: list[np.ndarray] | None = None


def rounding(case: Case, values: Values) -> Rounding:
    """Measure how ill-conditioned the point is.

    At a single point autodiff may be right by luck: where a leaf's terms cancel to almost nothing,
    correct code errs by hundreds of eps at one point and by five at the next.
    """
    if case.autodiff is None or values.truth is None:
        return Rounding(None, None)
    own = None
    if values.autodiff is not None:
        own = [gap_between(*pair) for pair in zip(values.autodiff, values.truth, strict=True)]
    generator, worst = np.random.default_rng(0), [np.zeros(each.shape) for each in values.truth]
    moved, at_point = worst, values.truth
    skip = 1 - case.offset
    for number in range(NEIGHBOURS + 1):
        leaves = list(case.form.leaves)
        for leaf in case.leaves:
            noise = 4 * EPS32 * generator.normal(size=np.shape(leaf.value)) * (number > 0)
            leaves[leaf.position] = (leaf.array * (1 + noise)).astype(np.float32)
        single, exact = case.autodiff.single(leaves)[skip:], case.truth(leaves)
        assert exact is not None
        at_point = at_point if number else exact  # of the arguments as float32 has them
        worst, moved = (
            [
                np.asarray(np.maximum(most, gap_between(np.asarray(first), second)))
                for most, first, second in zip(*of, strict=True)
            ]
            for of in ((worst, single, exact), (moved, exact, at_point))
        )
    return Rounding(own, worst, moved)


def gap_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the distance of each element, in float64."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(first.astype(np.float64) - second.astype(np.float64)))


def around(number: int, known: Rounding | None) -> np.ndarray:
    """Return what rounding may do to a leaf's elements in float64."""
    if known is None or known.single is None or known.moved is None:
        return np.zeros(())
    with np.errstate(invalid="ignore"):
        most = np.fmax(known.single[number], known.moved[number])
    return np.asarray(most * (EPS / EPS32))
