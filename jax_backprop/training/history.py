"""What a run reports: every step and every evaluation, gathered as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.training.steps import Metrics
from jax_backprop.types import Evaluation

SPLITS = ("train", "validation")


class History(NamedTuple):
    """A run's record, as NumPy arrays.

    Args:
      steps: Metrics of every step, (steps,) each.
      evaluated_at: updates done before each evaluation, the first one 0.
      train, validation: Evaluation at those points (penalties left out), over the whole split.
    """

    steps: Metrics
    evaluated_at: np.ndarray
    train: Evaluation
    validation: Evaluation


class Record:
    """A history in the making: parts of its arrays, by name."""

    def __init__(self, begun: Mapping[str, np.ndarray]) -> None:
        """Go on from the arrays of a checkpoint; none to begin."""
        self._parts = {name: [rows] for name, rows in begun.items()}

    def add(self, metrics: Metrics | None, evaluated: Sequence[Evaluation]) -> None:
        """Add a segment's steps, and its evaluations of train and validation."""
        reported: list[tuple[str, Any]] = [("steps", metrics)] if metrics is not None else []
        for name, values in [*reported, *zip(SPLITS, evaluated, strict=True)]:
            for field, rows in values._asdict().items():
                self._parts.setdefault(f"{name}.{field}", []).append(np.asarray(rows).reshape(-1))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return each array as far as it goes."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def last(self) -> list[Evaluation]:
        """Return the last evaluation of each split."""
        return [
            Evaluation(*(self._parts[f"{split}.{field}"][-1][-1] for field in Evaluation._fields))
            for split in SPLITS
        ]

    def history(self, evaluated_at: np.ndarray) -> History:
        """Return the whole."""
        arrays = self.arrays()

        def gathered(kind: Any, name: str) -> Any:
            return kind(*(arrays[f"{name}.{field}"] for field in kind._fields))

        splits = [gathered(Evaluation, split) for split in SPLITS]
        return History(gathered(Metrics, "steps"), evaluated_at, *splits)
