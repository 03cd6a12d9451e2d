"""The rows that a study is summarized in: a series at a rate, at its best, two paired ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from jax_backprop.metrics import is_higher_better, shortfall
from jax_backprop.study.comparisons import Difference

# Cells and curves, whose columns follow from a study's axes: a pandas DataFrame, of which checkers
# know little (indexing one gives a frame, a column or a number). What leaves study/ is a row below.
Frame: TypeAlias = Any
Plain: TypeAlias = dict[str, str | int | float | bool]
NAN = float("nan")


class Interval(NamedTuple):
    """An interquartile mean with its 95% interval, over seeds or splits."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


class Figure(NamedTuple):
    """A number of the first screen: what it is, the number, and what it rests on."""

    label: str
    value: str
    note: str


UNKNOWN = Interval(NAN, NAN, NAN)


@dataclass(frozen=True)
class RateRow:
    """A series at one learning rate.

    Args:
      validation_score, test_score: of the metric that ``score`` names.
      chosen_by: what a rate is chosen by on the validation split: the loss, or that metric.
      seeds, splits, runs: how many it was run with, and how many runs there are in all.
      monotone, edge, slow, degraded, diverged: how many of the runs had each outcome.
    """

    series: str
    learning_rate: float
    train_loss: Interval = UNKNOWN
    validation_loss: Interval = UNKNOWN
    test_loss: Interval = UNKNOWN
    validation_score: Interval = UNKNOWN
    test_score: Interval = UNKNOWN
    score: str = "accuracy"
    chosen_by: str = "loss"
    monotone: int = 0
    edge: int = 0
    slow: int = 0
    degraded: int = 0
    diverged: int = 0
    seeds: int = 0
    splits: int = 1
    runs: int = 0

    @property
    def loss(self) -> float:
        """The validation loss."""
        return self.validation_loss.mean

    @property
    def shortfall(self) -> float:
        """How far the validation split is from perfect: rates are chosen by the least."""
        found = self.validation_loss if self.chosen_by == "loss" else self.validation_score
        return float(shortfall(found.mean, self.chosen_by))

    @property
    def score_shortfall(self) -> float:
        """How far the validation split is from a perfect score."""
        return float(shortfall(self.validation_score.mean, self.score))

    @property
    def fails(self) -> bool:
        """Most of its runs diverged."""
        return self.diverged * 2 > self.runs

    def plain(self) -> Plain:
        """Return the row flat: an interval as three numbers, such as ``test_loss_low``.

        A score goes by its metric's name, such as ``test_accuracy``.
        """
        told = flat(vars(self))
        return {re.sub(r"(?<=_)score", self.score, name): value for name, value in told.items()}


@dataclass(frozen=True)
class BestRate(RateRow):
    """A series at its best rate on the validation split.

    Args:
      at_edge: it is the first or last of its several rates.
      band_low, band_high: the least and the largest rate near it.
      rates: at how many the series was run.
    """

    at_edge: bool = False
    band_low: float = NAN
    band_high: float = NAN
    rates: int = 1


class TunedRow(NamedTuple):
    """A series at the rate that is best on the runs that are paired: means over these runs."""

    series: str
    learning_rate: float
    validation_loss: float
    test_loss: float
    test_score: float


class Contrast(NamedTuple):
    """A series minus its control, each at the rate that is best on the runs that both have.

    Args:
      series, control: each one's rate and means over the paired runs, of which the differences
        below are the differences.
      test_loss: None where the two are measured by different losses, or have no common run.
      test_score: of the metric ``score``; None without a common run.
      unit: what is paired: "seed", or "split" (their seeds are averaged first).
      pairs: how many are common.
      unpaired: how many only one of the two has; they are left out.
      runs: how many of each side are paired; of several splits the seeds of all.
      diverged: how many of the paired runs of each ended above their start.

    The p-values are adjusted by Holm over the contrasts that are made together, for the loss and
    for the score apart.
    """

    series: TunedRow
    control: TunedRow
    test_loss: Difference | None
    test_score: Difference | None
    unit: str
    pairs: int
    unpaired: int
    runs: int
    diverged: tuple[int, int]
    score: str = "accuracy"

    def named(self, measure: str) -> str:
        """Return a measure of these in words: "test loss", or the score by its metric's name."""
        return words(measure.replace("score", self.score))

    def is_better(self, mean: float, measure: str) -> bool:
        """Tell whether a difference of a measure, test_loss or test_score, is to the better."""
        higher = measure == "test_score" and is_higher_better(self.score)
        return mean > 0 if higher else mean < 0

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, each score by its metric's name."""
        parts = {name: getattr(self, name) for name in ("series", "control")}
        sides = {name: _by_name(each._asdict(), self.score) for name, each in parts.items()}
        told = self._asdict() | sides
        for name in ("test_loss", "test_score"):
            found = getattr(self, name)
            told[name] = None if found is None else found._asdict()
        return _by_name(told, self.score)


def _by_name(told: dict[str, Any], score: str) -> dict[str, Any]:
    return {name.replace("test_score", f"test_{score}"): value for name, value in told.items()}


def words(measure: str) -> str:
    """Return a metric's name, or a split's measure, as a sentence has it."""
    split, _, rest = measure.partition("_")
    if split in ("train", "validation", "test"):
        return f"{split} {words(rest)}"
    return {"r2": "R2", "f1": "F1", "mae": "mean absolute error"}.get(
        measure, measure.replace("_", " ")
    )


def flat(fields: dict[str, object]) -> Plain:
    """Return fields with each interval as three numbers."""
    told: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, Interval):
            told |= {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            told[name] = value
    return told  # pyright: ignore[reportReturnType]
