"""How near two gradients are, leaf by leaf, on scales that don't grow with an array's size."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NAN = float("nan")


class Distance(NamedTuple):
    """The distance of two arrays a and b of one shape.

    Args:
      r2: |a - b|_2 / max(|a|_2, |b|_2); 0 where both are zero, nan where one isn't finite.
      rinf: max|a - b| / max(max|a|, max|b|).
      worst_index: where |a - b| is largest.
      worst_values: a and b there.
      both_zero: neither has an element other than zero, which proves little: reported aloud.
      measured: False where there was nothing to compare.
    """

    r2: float
    rinf: float
    worst_index: tuple[int, ...]
    worst_values: tuple[float, float]
    both_zero: bool
    measured: bool = True

    @property
    def worst(self) -> float:
        """The larger of the two distances."""
        return max(self.r2, self.rinf) if self.r2 == self.r2 else self.r2


NOT_MEASURED = Distance(NAN, NAN, (), (NAN, NAN), both_zero=False, measured=False)


def distance(a: Any, b: Any) -> Distance:
    """Compare two arrays of one shape, in float64. Raises ValueError where the shapes differ."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")
    if first.size == 0:
        return Distance(0.0, 0.0, (), (NAN, NAN), both_zero=True)
    with np.errstate(invalid="ignore"):
        gap = np.abs(first - second)
    index = np.unravel_index(int(np.argmax(gap)), gap.shape)
    values = (float(first[index]), float(second[index]))
    size2 = max(np.linalg.norm(first), np.linalg.norm(second))
    size_inf = max(np.max(np.abs(first)), np.max(np.abs(second)))
    where = tuple(int(axis) for axis in index)
    if size_inf == 0:
        return Distance(0.0, 0.0, where, values, both_zero=True)
    if not np.isfinite(size2):
        return Distance(NAN, NAN, where, values, both_zero=False)
    # Squares of numbers below 1e-154 vanish: then the larger norm says what there is to say.
    rinf = gap[index] / size_inf
    r2 = np.linalg.norm(gap) / size2 if size2 > 0 else rinf
    return Distance(float(r2), float(rinf), where, values, both_zero=False)
