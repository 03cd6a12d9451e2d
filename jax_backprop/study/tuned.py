"""Series at their own tuned rates, paired by seed: each against the control of its study.

The rate is chosen on validation by the interquartile mean over seeds (``best_rates``); what is
compared is the test split, which had no part in that choice. The control is the study's first
series, such as the constant schedule of experiments/learning_rate.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_backprop.study.comparisons import Difference, compare_pairs
from jax_backprop.study.frame import Frame, Row
from jax_backprop.study.sensitivity import Sensitivity, even_rates, learning_rate_sensitivity
from jax_backprop.study.summary import Summary, by_seed

FEWEST_RATES = 3


class Tuned(NamedTuple):
    """A series at its tuned rate.

    Args:
      best: its row of ``Summary.best``.
      runs: its cells at that rate, by seed.
      loss: by which loss its test loss is measured.
    """

    best: Row
    runs: Frame
    loss: str


class Contrast(NamedTuple):
    """A series minus its control, each at its own tuned rate, paired by the seeds that both have.

    Args:
      series, control: their rows of ``Summary.best``.
      test_loss: None where the two are measured by different losses, or have no common seed.
      test_accuracy: above 0 where the series is the better one; None without a common seed.
      seeds: how many are common.
      unpaired: how many seeds only one of the two has; they are left out.
      diverged: how many of the paired runs of each ended above their start.

    The p-values are adjusted by Holm over the contrasts that are made together, for the loss and
    for the accuracy apart.
    """

    series: Row
    control: Row
    test_loss: Difference | None
    test_accuracy: Difference | None
    seeds: int
    unpaired: int
    diverged: tuple[int, int]


def against_control(summary: Summary) -> list[Contrast]:
    """Compare every series with the study's first, in the order of the study; [] for one series."""
    control, *others = tuned_series(summary)
    return contrasts([(other, control) for other in others])


def tuned_series(summary: Summary) -> list[Tuned]:
    """Return every series of a study at its tuned rate, in the order of the study."""
    found = []
    for _, best in summary.best.iterrows():
        cells = summary.cells
        mine = cells["series"] == best["series"]
        runs = cells[mine & (cells["learning_rate"] == best["learning_rate"])]
        loss = runs["loss"].iloc[0] if "loss" in runs else summary.study.get("loss", "")
        found.append(Tuned(best, runs.set_index("seed").sort_index(), str(loss)))
    return found


def contrasts(pairs: Sequence[tuple[Tuned, Tuned]]) -> list[Contrast]:
    """Compare the first with the second of each pair, on the seeds that both were run with."""
    common = [a.runs.index.intersection(b.runs.index) for a, b in pairs]
    losses, accuracies = {}, {}
    for place, ((first, second), seeds) in enumerate(zip(pairs, common, strict=True)):
        if len(seeds):
            # An accuracy is better where it is higher: its negative is compared as a loss is.
            accuracies[place] = tuple(
                -each.runs.loc[seeds, "test_accuracy"].to_numpy() for each in (first, second)
            )
        if len(seeds) and first.loss == second.loss:
            losses[place] = tuple(
                each.runs.loc[seeds, "test_loss"].to_numpy() for each in (first, second)
            )
    by_loss, by_accuracy = compare_pairs(losses), compare_pairs(accuracies)
    found = []
    for place, ((first, second), seeds) in enumerate(zip(pairs, common, strict=True)):
        accuracy = by_accuracy.get(place)
        found.append(
            Contrast(
                first.best,
                second.best,
                by_loss.get(place),
                _negative(accuracy) if accuracy is not None else None,
                len(seeds),
                len(first.runs.index.union(second.runs.index)) - len(seeds),
                (_diverged(first, seeds), _diverged(second, seeds)),
            )
        )
    return found


def sensitivities(summary: Summary) -> dict[str, Sensitivity]:
    """Return each series' learning-rate sensitivity, of the validation loss.

    Over the rates that are even in log, refinements between them left out, and the seeds that were
    run at all of them; a run is capped at its training loss at the start. Beyond the statuses of
    ``learning_rate_sensitivity``: "one rate", "uneven rates" (no three of them are even in log) and
    "unfinished" (no seed was run at all of them).
    """
    return {
        name: _sensitivity(cells) for name, cells in summary.cells.groupby("series", sort=False)
    }


def _sensitivity(cells: Frame) -> Sensitivity:
    values, present = by_seed(cells, ["learning_rate"], "validation_loss")
    rates = even_rates(values.index.to_numpy(np.float64))
    if len(rates) < FEWEST_RATES:
        return _none("one rate" if len(values) == 1 else "uneven rates")
    start = cells.groupby("seed")["loss_at_start"].first()
    seeds = present.columns[present.loc[rates].all() & np.isfinite(start)]
    if not len(seeds):
        return _none("unfinished")
    losses = values.loc[rates, seeds].to_numpy(np.float64)
    return learning_rate_sensitivity(rates, losses, start[seeds].to_numpy(np.float64))


def _none(status: str) -> Sensitivity:
    nothing = float("nan")
    empty = np.empty(0)
    return Sensitivity(nothing, nothing, nothing, status, empty, empty, 0)


def _negative(difference: Difference) -> Difference:
    """Return the difference of the negatives: of accuracies, from that of their shortfalls."""
    return difference._replace(
        mean=0.0 - difference.mean, low=0.0 - difference.high, high=0.0 - difference.low
    )


def _diverged(tuned: Tuned, seeds: Frame) -> int:
    return int((tuned.runs.loc[seeds, "outcome"] == "diverged").sum())
