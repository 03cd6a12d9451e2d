"""Numbers that an axis holds, given by their ends: evenly spread, counted, or drawn by a design."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from jax_backprop.fields import LARGEST, Settings, unused

POINTS_PER_DECADE = 8
DesignName = Literal["sobol", "random"]


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
        return tuple(self.at(index / (self.count - 1)) for index in range(self.count))

    def at(self, share: float) -> float:
        """Return the number at a share of the way from ``low`` to ``high``."""
        if self.spacing == "linear":
            return self.low + (self.high - self.low) * share
        return float(f"{self.low * (self.high / self.low) ** share:.12g}")

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


def drawn(
    axes: Mapping[str, Any], design: DesignName | None, count: int | None
) -> dict[str, list[float]]:
    """Return a design's points over the axes that are ranges without a count, a column each.

    More points begin with the same ones.

    Example:
      >>> axes = {"l2": {"low": 0, "high": 8, "spacing": "linear"}, "seed": {"count": 3}}
      >>> [round(number) for number in drawn(axes, "sobol", 4)["l2"]]
      [3, 6, 4, 1]
    """
    import numpy as np
    from scipy.stats import qmc  # slow to import

    ranges = {name: given for name, given in axes.items() if _is_span(given)}
    if design is None or count is None or not ranges:
        raise unused(
            "design",
            f"{design} of {count or 'no'} points over {len(ranges)} ranges",
            "design, design_points, and an axis or more as {low, high} without a count",
            'Such as design = "sobol", design_points = 64.',
        )
    generator = np.random.default_rng(0)
    if design == "random":
        shares = generator.random((count, len(ranges)))
    else:
        shares = qmc.Sobol(len(ranges), rng=generator).random_base2((count - 1).bit_length())
    spans = [
        Range.model_validate_json(json.dumps({**given, "count": 2})) for given in ranges.values()
    ]
    columns = zip(ranges, spans, shares[:count].T, strict=True)
    return {name: [span.at(float(each)) for each in column] for name, span, column in columns}


def _is_span(given: Any) -> bool:
    """Tell whether an axis is a range that doesn't say how many numbers it holds."""
    ends, counts = {"low", "high"}, {"count", "points_per_decade"}
    return isinstance(given, dict) and ends <= set(given) and not counts & set(given)
