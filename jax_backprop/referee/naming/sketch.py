"""What is to be explained, and how a candidate's part in it is seen without a backward pass.

An error at a slot reaches the parameters through the transposed Jacobian, so that its product with
a direction is the error's product with the slot's derivative along it: a few forward passes judge
every candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_backprop.referee.naming.passes import Passes

PER_LEAF = 4  # directions
MOST_BYTES = 4e8  # of the derivatives along them


class Target(NamedTuple):
    """What has to be explained.

    Args:
      error: judged less true gradient, a leaf each.
      scales: the size of each leaf's gradient: all leaves count alike.
      floors: what rounding may leave of each leaf's error.
    """

    error: list[np.ndarray]
    scales: list[float]
    floors: list[float]

    def less(self, predicted: Sequence[np.ndarray]) -> Target:
        """Return what a predicted error leaves to explain."""
        return self._replace(
            error=[np.asarray(e - p) for e, p in zip(self.error, predicted, strict=True)]
        )

    def meets(self, predicted: Sequence[np.ndarray]) -> bool:
        """Whether a predicted error is the error, leaf by leaf."""
        return not self.less(predicted).failing.any()

    @property
    def size(self) -> float:
        """The error's size, relative to the gradient's."""
        rows = zip(self.error, self.scales, strict=True)
        return float(np.linalg.norm([np.linalg.norm(e) / s for e, s in rows]))

    @property
    def failing(self) -> np.ndarray:
        """Whether each leaf has an error."""
        rows = zip(self.error, self.floors, strict=True)
        return np.array([not np.linalg.norm(error) <= floor for error, floor in rows])


class Sketch:
    """Derivatives of every slot along random directions within single leaves."""

    def __init__(self, passes: Passes, scales: Sequence[float]) -> None:
        leaves = [passes.values[slot] for slot in passes.program.leaves]
        size = sum(passes.values[slot].size for slot in passes.active) * 8.0
        self.groups = int(np.clip(MOST_BYTES / (size * PER_LEAF), 1, len(leaves)))
        self.group = np.arange(len(leaves)) % self.groups
        generator = np.random.default_rng(0)
        self.steps = []
        for number, (leaf, scale) in enumerate(zip(leaves, scales, strict=True)):
            step = np.zeros((self.groups, PER_LEAF, *leaf.shape))
            step[self.group[number]] = generator.normal(size=(PER_LEAF, *leaf.shape)) / scale
            self.steps.append(step.reshape(-1, *leaf.shape))
        self.tangents = {
            slot: array.reshape(len(array), -1)
            for slot, array in passes.tangents(self.steps).items()
        }

    def of_error(self, error: Sequence[np.ndarray]) -> np.ndarray:
        """Return the error's products: a row a group of leaves."""
        rows = zip(self.steps, error, strict=True)
        total = sum(step.reshape(len(step), -1) @ leaf.ravel() for step, leaf in rows)
        return np.asarray(total).reshape(self.groups, PER_LEAF)

    def of(self, slot: int, error: np.ndarray) -> np.ndarray:
        """Return the products of what an error at a slot makes of the gradient."""
        return (self.tangents[slot] @ error.ravel()).reshape(self.groups, PER_LEAF)

    def failing(self, target: Target) -> np.ndarray:
        """Whether each group of leaves has an error."""
        return np.array([target.failing[self.group == n].any() for n in range(self.groups)])
