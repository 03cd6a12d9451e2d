"""A gradient to be judged, right or wrong, and the family that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One gradient of one loss at one point.

    Args:
      family, name: which; the two together are unique.
      right: whether it is a gradient of the loss, or at a kink a subgradient.
      loss, gradient: of (params, *args).
      args: the point.
      dtype: of the point.
      order: 2 where the gradient's own derivative is judged as well.
    """

    family: str
    name: str
    right: bool
    loss: Callable[..., Any]
    gradient: Callable[..., Any]
    args: tuple[Any, ...]
    dtype: str = "float64"
    order: int = 1
