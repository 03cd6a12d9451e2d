"""Values of an axis that are said by their ends or their number. Imports no jax."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jax_backprop.fields import LARGEST, Settings

POINTS_PER_DECADE = 8


class Range(Settings, frozen=True):
    """Numbers from ``low`` to ``high``, both included, even in log (or linear).

    Args:
      points_per_decade: steps a factor of ten, 8 if ``count`` isn't given.
      count: how many numbers.
      spacing: ``log`` or ``linear``; linear takes a count.

    Example:
      >>> [round(rate, 3) for rate in Range(low=0.1, high=10, count=5).numbers()]
      [0.1, 0.316, 1.0, 3.162, 10.0]
    """

    low: Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
    high: Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
    points_per_decade: Annotated[int, Field(ge=3, le=100_000)] | None = None
    count: Annotated[int, Field(ge=2, le=4_000_000)] | None = None
    spacing: Literal["log", "linear"] = "log"

    @model_validator(mode="after")
    def _one_form(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.points_per_decade is not None and self.count is not None:
            raise ValueError("give either points_per_decade or count, not both")
        if self.spacing == "linear" and self.count is None:
            raise ValueError("linear spacing takes a count")
        if self.spacing == "log" and self.low < 1 / LARGEST:
            raise ValueError(f"low = {self.low:g} must be above 0 for log spacing")
        return self

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers, ascending; a decade's ends are exact powers of ten."""
        if self.count is None:
            per_decade = self.points_per_decade or POINTS_PER_DECADE
            steps = math.log10(self.high / self.low) * per_decade
            return tuple(self._at(index, per_decade) for index in range(int(steps + 1e-6) + 1))
        shares = [index / (self.count - 1) for index in range(self.count)]
        if self.spacing == "linear":
            return tuple(self.low + (self.high - self.low) * share for share in shares)
        ratio = self.high / self.low
        return tuple(float(f"{self.low * ratio**share:.12g}") for share in shares)

    def _at(self, index: int, per_decade: int) -> float:
        decade, part = divmod(index, per_decade)
        return float(f"{self.low * 10.0**decade * 10 ** (part / per_decade):.12g}")


class Counted(Settings, frozen=True):
    """Whole numbers: ``count`` of them from ``start``; what seeds are given by."""

    count: Annotated[int, Field(ge=1, le=10**18)]
    start: Annotated[int, Field(ge=0)] = 0

    def numbers(self) -> range:
        """Return the numbers, ascending; not yet expanded, so that too many are refused at once."""
        return range(self.start, self.start + self.count)
