"""What a run reports: every step and every evaluation, gathered as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.training.steps import Metrics
from jax_backprop.types import Evaluation

SPLITS = ("train", "validation")


class EarlyStop(NamedTuple):
    """Where a run would have stopped, (runs,) or a number each; it goes on all the same.

    Args:
      step: updates done then; 0 where it would have gone on to its end.
      loss: the validation loss there.
      best_loss: the least one until then.
    """

    step: np.ndarray
    loss: np.ndarray
    best_loss: np.ndarray


def early_stop(losses: np.ndarray, evaluated_at: np.ndarray, patience: int) -> EarlyStop:
    """Return where so many evaluations in a row had brought no lower loss.

    Args:
      losses: of the validation split, (..., evaluations); NaN is no lower one.
      evaluated_at: updates done before each evaluation.
      patience: evaluations.

    Example:
      >>> early_stop(np.array([3.0, 1.0, 2.0, 2.0, 0.0]), np.arange(5), patience=2)[:2]
      (array(3), array(2.))
    """
    best = np.fmin.accumulate(losses, axis=-1)
    places = np.arange(1, losses.shape[-1])
    lowered = np.where(losses[..., 1:] < best[..., :-1], places, 0)
    stops = places - np.maximum.accumulate(lowered, axis=-1) >= patience
    found = stops.any(axis=-1)
    place = np.where(found, 1 + stops.argmax(axis=-1), places[-1])
    there = [np.take_along_axis(each, place[..., None], -1)[..., 0] for each in (losses, best)]
    return EarlyStop(np.where(found, evaluated_at[place], 0), *there)


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
        reported = [("steps", metrics._asdict())] if metrics is not None else []
        named = [each.named() for each in evaluated]
        for name, values in [*reported, *zip(SPLITS, named, strict=True)]:
            for field, rows in values.items():
                self._parts.setdefault(f"{name}.{field}", []).append(np.asarray(rows).reshape(-1))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return each array as far as it goes."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def last(self) -> list[Evaluation]:
        """Return the last evaluation of each split."""
        ends = {name: parts[-1][-1] for name, parts in self._parts.items()}
        return [_evaluation(split, ends) for split in SPLITS]

    def history(self, evaluated_at: np.ndarray) -> History:
        """Return the whole."""
        arrays: dict[str, Any] = self.arrays()
        steps = Metrics(*(arrays[f"steps.{field}"] for field in Metrics._fields))
        train, validation = (_evaluation(split, arrays) for split in SPLITS)
        return History(steps, evaluated_at, train, validation)


def _evaluation(split: str, arrays: Mapping[str, Any]) -> Evaluation:
    """Return what is said of a split, from arrays by name."""
    named = {name.removeprefix(f"{split}."): rows for name, rows in arrays.items()}
    own = {name: rows for name, rows in named.items() if f"{split}.{name}" in arrays}
    return Evaluation(own.pop("loss"), own)
