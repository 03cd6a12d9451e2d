"""Series at their own tuned rates, paired: each against the control of its study.

Both sides are tuned on the runs that they share, by the interquartile mean of the validation loss;
what is compared is the test split, which had no part in that choice. The control is the study's
first series, such as the constant schedule where several are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from jax_backprop.metrics import is_higher_better, shortfall
from jax_backprop.study.comparisons import Difference, paired_difference, with_holm
from jax_backprop.study.rows import NAN, Contrast, Frame, TunedRow
from jax_backprop.study.runs import SEED, SPLIT, by_unit, means_of_runs, run_keys
from jax_backprop.study.sensitivity import Sensitivity, even_rates, learning_rate_sensitivity
from jax_backprop.study.statistics import interquartile_mean
from jax_backprop.study.summary import Summary, score_of

FEWEST_RATES = 3
MOST_COMPARED = 100  # series
SHOWN = ("validation_loss", "test_loss", "test_score")


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two series at their tuned rates: the paired runs of each, and what of them is compared."""

    sides: tuple[Frame, Frame]
    names: tuple[str, str]
    unit: str
    unpaired: int
    score: str = "accuracy"

    @property
    def is_one_loss(self) -> bool:
        """Both sides are measured by the same loss."""
        return len({str(loss) for side in self.sides for loss in side["loss"].iloc[:1]}) <= 1

    def row(self, side: int) -> TunedRow:
        """Return a side's series, rate and means over the paired runs."""
        rate = next(iter(self.sides[side]["learning_rate"]), NAN)
        found = {name: self.values(name) for name in SHOWN}
        means = {name: _mean(pair[side], name) if pair else NAN for name, pair in found.items()}
        return TunedRow(self.names[side], float(rate), **means)

    def values(self, measure: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return a measure of each side by unit, one of SHOWN; None without a common run."""
        return self._measured[measure]

    @cached_property
    def _measured(self) -> dict[str, tuple[np.ndarray, np.ndarray] | None]:
        names = {measure: measure.replace("score", self.score) for measure in SHOWN}
        first, second = self.sides
        found = [n for n in names.values() if n in first and n in second and len(first)]
        means = [means_of_runs(side, [self.unit], found)[0] for side in self.sides if found]
        sides = {name: tuple(each[name].to_numpy(np.float64) for each in means) for name in found}
        return {measure: sides.get(name) for measure, name in names.items()}


def against_control(summary: Summary) -> list[Contrast]:
    """Compare every series with the study's first, in the order of the study; [] for one series.

    Of more than ``MOST_COMPARED`` series none is compared: no p would survive its correction. Nor
    is any of a search by halving, which dropped some because of their results.
    """
    if len(summary.best) > MOST_COMPARED or summary.study.get("halving"):
        return []
    control, *others = by_series(summary).values()
    pairs, chosen_by = [(other, control) for other in others], summary.chosen.chosen_by
    return contrasts(pairs, overlap=summary.design.overlap, chosen_by=chosen_by)


def by_series(summary: Summary) -> dict[str, Frame]:
    """Return the cells of each series, in the order of the study: what two are compared by."""
    cells = summary.cells
    if "loss" not in cells:
        cells = cells.assign(loss=summary.study.get("loss", ""))
    columns = ["series", "learning_rate", "loss", "outcome", *run_keys(cells)]
    columns += [name for name in cells if str(name).startswith(("validation_", "test_"))]
    cells = cells[columns]
    return {str(name): mine for name, mine in cells.groupby("series", sort=False)}


def contrasts(
    pairs: Sequence[tuple[Frame, Frame]], *, overlap: float = 0.0, chosen_by: str = "loss"
) -> list[Contrast]:
    """Compare the first with the second of each pair of series, on the runs that both have.

    Args:
      pairs: the cells of two series each.
      overlap: test over train examples, where splits are of one data set.
      chosen_by: the loss, or the metric that each side's rate is chosen by.
    """
    tuned: dict[Any, Frame] = {}  # the control is one side of many pairs
    found = [_pair(*pair, chosen_by, tuned) for pair in pairs]
    losses: dict[int, Difference] = {}
    scores: dict[int, Difference] = {}
    for place, pair in enumerate(found):
        shared = overlap if pair.unit == SPLIT else 0.0
        loss, score = pair.values("test_loss"), pair.values("test_score")
        if loss is not None and pair.is_one_loss:
            losses[place] = paired_difference(*loss, overlap=shared)
        if score is not None:
            # Where higher is better, the shortfall is compared as a loss is.
            sides = [shortfall(side, pair.score) for side in score]
            scores[place] = paired_difference(sides[0], sides[1], overlap=shared)
    losses, scores = with_holm(losses), with_holm(scores)
    return [_contrast(pair, losses.get(n), scores.get(n)) for n, pair in enumerate(found)]


def _pair(first: Frame, second: Frame, chosen_by: str, known: dict[Any, Frame]) -> _Pair:
    """Return two series at the rates that are best on the runs that both have."""
    names = (str(first["series"].iloc[0]), str(second["series"].iloc[0]))
    keys = [name for name in run_keys(first) if name in second]
    runs = [pd.MultiIndex.from_frame(side[keys]) for side in (first, second)]
    shared = runs[0].intersection(runs[1])
    everything = runs[0].union(runs[1])
    several = SPLIT in keys and shared.get_level_values(SPLIT).nunique() > 1
    unit = SPLIT if several else SEED
    sides = []
    for side, of in zip((first, second), runs, strict=True):
        key = (id(side), unit, tuple(shared))
        if key not in known:
            known[key] = _at_best(side[of.isin(shared)], unit, chosen_by)
        sides.append(known[key])
    tuned = [pd.MultiIndex.from_frame(side[keys]) for side in sides]
    common = tuned[0].intersection(tuned[1])
    left = everything.get_level_values(unit).nunique() - common.get_level_values(unit).nunique()
    first, second = (side[of.isin(common)] for side, of in zip(sides, tuned, strict=True))
    return _Pair((first, second), names, unit, left, score_of(list(first), chosen_by))


def _at_best(cells: Frame, unit: str, chosen_by: str) -> Frame:
    """Return a series' cells at its best rate, of those that most of these runs were made at."""
    if cells.empty:
        return cells
    counts = cells.groupby("learning_rate").size()
    whole = cells[cells["learning_rate"].isin(counts.index[counts == counts.max()])]
    values, _ = by_unit(whole, ["learning_rate"], f"validation_{chosen_by}", unit)
    short = shortfall(values.to_numpy(np.float64), chosen_by)
    best = int(np.argmin(interquartile_mean(short)))
    return whole[whole["learning_rate"] == values.index[best]]


def _contrast(pair: _Pair, loss: Difference | None, score: Difference | None) -> Contrast:
    first = pair.sides[0]
    diverged = tuple(int((side["outcome"] == "diverged").sum()) for side in pair.sides)
    return Contrast(
        pair.row(0),
        pair.row(1),
        loss,
        _negative(score) if score is not None and is_higher_better(pair.score) else score,
        "split" if pair.unit == SPLIT else "seed",
        int(first[pair.unit].nunique()),
        pair.unpaired,
        len(first),
        (diverged[0], diverged[1]),
        pair.score,
    )


def sensitivities(summary: Summary) -> dict[str, Sensitivity]:
    """Return each series' learning-rate sensitivity, of the validation loss.

    Over the rates that are even in log, refinements between them left out, and the seeds (or the
    splits, their seeds averaged) that were run at all of them; a run is capped at its training loss
    at the start. Beyond the statuses of ``learning_rate_sensitivity``: "one rate", "uneven rates"
    (no three of them are even in log) and "unfinished" (no seed was run at all of them). {} of more
    than ``MOST_COMPARED`` series.
    """
    if len(summary.best) > MOST_COMPARED:
        return {}
    keys = ["series", "learning_rate"]
    values, present = by_unit(summary.cells, keys, "validation_loss")
    starts, _ = by_unit(summary.cells, keys[:1], "loss_at_start")
    return {
        row.series: _sensitivity(
            values.loc[row.series],
            present.loc[row.series],
            starts.loc[row.series],
            summary.design.overlap,
        )
        for row in summary.best
    }


def _sensitivity(values: Frame, present: Frame, start: Frame, overlap: float) -> Sensitivity:
    rates = even_rates(values.index.to_numpy(np.float64))
    if len(rates) < FEWEST_RATES:
        return _none("one rate" if len(values) == 1 else "uneven rates")
    units = present.columns[present.loc[rates].all() & np.isfinite(start)]
    if not len(units):
        return _none("unfinished")
    losses = values.loc[rates, units].to_numpy(np.float64)
    starts = start[units].to_numpy(np.float64)
    return learning_rate_sensitivity(rates, losses, starts, overlap=overlap)


def _none(status: str) -> Sensitivity:
    empty = np.empty(0)
    return Sensitivity(NAN, NAN, NAN, status, empty, empty, 0)


def _mean(values: np.ndarray, measure: str) -> float:
    """Return the mean, of which the mean difference is one: a lost run's loss is infinite."""
    is_loss = measure.endswith("loss")
    return float(np.mean(np.where(np.isfinite(values) | (not is_loss), values, np.inf)))


def _negative(difference: Difference) -> Difference:
    """Return the difference of the negatives: of scores, from that of their shortfalls."""
    return difference._replace(
        mean=0.0 - difference.mean, low=0.0 - difference.high, high=0.0 - difference.low
    )
