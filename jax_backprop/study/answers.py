"""The question that a study asks, answered from its numbers: nothing here is written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jax_backprop.study.boundaries import boundaries, say_boundaries
from jax_backprop.study.comparisons import SIGNIFICANT, Difference, smallest_p
from jax_backprop.study.drift import Drift, drifts
from jax_backprop.study.edge import edge_answer, is_about_edge
from jax_backprop.study.halved import halved, halved_line
from jax_backprop.study.questions import Asked, asked
from jax_backprop.study.rate_answers import at_best, of_rates
from jax_backprop.study.rows import Contrast
from jax_backprop.study.rows import words as words_of
from jax_backprop.study.runs import counted
from jax_backprop.study.series import differing
from jax_backprop.study.summary import Summary
from jax_backprop.study.tuned import against_control

MOST_NAMED = 6  # series in one sentence
FIRST = "the first series"
LONG = 50  # characters of a name that a sentence still bears
HIDDEN = ("hidden_sizes", "activation")  # of this project's network
SPOKEN = {"hidden_sizes": "the width", "batch_size": "the batch", "epochs": "the epochs"}


def answer(summary: Summary, contrasts: Sequence[Contrast] | None = None) -> list[str]:
    """Return the answer in a few sentences, each with the numbers that it rests on.

    What is answered follows from what varies: learning rates alone (or the study says that it is
    about them), a numeric axis, series against the first of them. Where these results can't answer
    the question, that is said first.

    Args:
      summary: of the study.
      contrasts: each series against the control, where they are known already.
    """
    found = asked(summary)
    if not any(math.isfinite(row.loss) for row in summary.best):
        return ["These results can't answer the question: no run ended with a finite loss."]
    if "resolution" in summary.study:
        return [*_by_search(summary), _over(summary)]
    contrasts = against_control(summary) if contrasts is None else contrasts
    tuned = ", each at its own tuned rate," if found.rates else ""
    paired = (
        f"Paired by {contrasts[0].unit} with {named(summary, contrasts[0].control.series)}{tuned}"
        if contrasts
        else ""
    )
    told = [compared([_short(summary, each) for each in contrasts], paired)] if contrasts else []
    if (search := halved(summary)) is not None:  # what was dropped can't be compared
        return [halved_line(search), _over(summary)]
    if found.is_about_rates:
        lines = [*of_rates(summary), _by_series(summary), *told]
    elif is_about_edge(summary, found):
        lines = [edge_answer(summary).line, _by_series(summary)]
    else:
        lines = [] if found.can_be_answered else [_cannot(found)]
        lines += [_moved(summary, axis, found.named) for axis in found.numeric if found.rates]
        lines += [*told, _by_series(summary), *_rate_free(summary, found)]
        lines += [_range(summary)] if found.rates else []
    return [*lines, _over(summary)]


def _by_search(summary: Summary) -> list[str]:
    """Say each series' boundaries, of a search for them."""
    every = boundaries(summary.cells, summary.design.overlap)
    names = [f"{named(summary, each.series)}: " if len(every) > 1 else "" for each in every]
    return [f"{name}{say_boundaries(each)}" for name, each in zip(names, every, strict=True)]


def setting(summary: Summary) -> str:
    """Return what was trained, in a few words; what an axis changes is said by the series."""
    return setting_of(summary.manifest, summary.design.seeds, summary.design.splits)


def setting_of(manifest: Mapping[str, Any], seeds: int, splits: int = 1) -> str:
    """Return what was trained, of a study's manifest and its numbers of seeds and splits."""
    study, axes = manifest["study"], manifest["identity"]["axes"]
    words = {
        "dataset": str,
        "network": str,
        "hidden_sizes": lambda sizes: f"hidden {'-'.join(map(str, sizes))}" if sizes else "linear",
        "activation": str,
        "batch_size": lambda size: f"batches of {size}" if size else "full batch",
        "epochs": lambda epochs: f"{epochs} epochs",
        "optimizer": lambda optimizer: optimizer["name"].replace("_", " "),
    }
    # A sweep of one's own functions has no study file, and says less of itself.
    known = {"batch_size": None, **study} if "dataset" in study else {**study}
    if known.get("network"):  # has layers of its own
        known = {name: each for name, each in known.items() if name not in HIDDEN}
    elif not known.get("hidden_sizes", True) and "hidden_sizes" not in axes:
        del known["activation"]  # there is no hidden layer to have one
    told = [said(known[name]) for name, said in words.items() if name in known and name not in axes]
    if any({"seed", "split_seed"} <= set(group) for group in study.get("zip", ())):
        seeds = max(1, seeds // splits)  # each split has seeds of its own
    repeated = f"{seeds} paired seeds" if seeds > 1 else "1 seed"
    where = f"{repeated} at each of {splits} splits" if splits > 1 else f"{repeated} at one split"
    return ", ".join([*told, where])


def _cannot(found: Asked) -> str:
    return (
        f"The question is about {spoken(found.about)}, which doesn't vary here: these results "
        "can't answer it."
    )


def _moved(summary: Summary, axis: str, by: str) -> str:
    """Say by which factor the best rate moves along a numeric axis, at each value of another."""
    found = drifts(summary, axis, by)
    if not found:
        return (
            f"How the best rate moves with {spoken(axis)} can't be said: that takes three rates "
            "or more of every value, the other axes being equal."
        )
    unit, per = summary.design.unit, f"per doubling of {spoken(axis)}"
    if len(found) == 1:
        move = _move(next(iter(found.values())), unit, f" {per}")
        return f"The best rate moves by a factor {move}."
    told, among = list(found), ""
    if len(found) > MOST_NAMED:
        order = sorted(found, key=lambda value: found[value].slope.mean)
        told, among = [order[0], order[-1]], f", the least and the largest of {len(found)}"
    moves = "; ".join(f"{value} {_move(found[value], unit)}" for value in told)
    return f"By {spoken(by)}{among}, the best rate moves by a factor {per}: {moves}."


def _move(found: Drift, unit: str, per: str = "") -> str:
    slope = found.slope
    edge = f"; {found.at_edge:.0%} of the best rates are the least or largest tried"
    others = f", averaged over {found.settings} settings of the other axes"
    return (
        f"{2**slope.mean:.3g}{_bounds(slope, 2.0)}{per} "
        f"({found.low:g} to {found.high:g}{others if found.settings > 1 else ''}), "
        f"{_told_apart(slope, unit)}{edge if found.at_edge else ''}"
    )


def _told_apart(slope: Difference, unit: str) -> str:
    if slope.smallest_p > SIGNIFICANT:
        return f"no finding: {_least_p(slope.pairs, 1, unit)}"
    told = "beyond chance" if slope.p_value <= SIGNIFICANT else "not told from 1"
    return f"{told} (p {slope.p_value:.2g})"


def _by_series(summary: Summary) -> str:
    scored = any(math.isfinite(row.test_score.mean) for row in summary.best)
    words, found = words_of(summary.score) if scored else "loss", summary.best
    if len(found) > MOST_NAMED:
        found = summary.ranked[:MOST_NAMED]
    rows = [
        f"{named(summary, row.series)} {measured} at {row.learning_rate:.3g}"
        for row in found
        for measured in (row.test_score if scored else row.test_loss,)
    ]
    few = len(summary.best) - len(found)
    which = f" ({len(found)} of {len(summary.best)} series, the best on validation)" if few else ""
    return f"Test {words} at the rate that validation chose{which}: {'; '.join(rows)}."


def compared(contrasts: Sequence[Contrast], head: str) -> str:
    """Say which series differ from their controls beyond chance; ``head`` says how they pair."""
    told = [(each, each.test_loss) for each in contrasts if each.test_loss is not None]
    words = "test loss"
    if not told:
        told = [(each, each.test_score) for each in contrasts if each.test_score is not None]
        words = contrasts[0].named("test_score")
    if not told:
        return f"{head} nothing can be said: no run is common."
    sure = [pair for pair in told if pair[1].adjusted_p <= SIGNIFICANT]
    shown = told if len(told) <= MOST_NAMED else sure
    shown = sorted(shown, key=lambda pair: pair[1].mean)[:MOST_NAMED] if shown is sure else shown
    listed = f": {'; '.join(_change(*each) for each in shown)}" if shown else ""
    if reason := no_power(contrasts):
        return f"{head} {words} shows no finding, as {reason}{listed}."
    fewer = sum(difference.mean < 0 for _, difference in sure)
    split = f" (lower in {fewer}, higher in {len(sure) - fewer})" if sure else ""
    return (
        f"{head} {words} changes beyond chance (Holm p at most {SIGNIFICANT}) in {len(sure)} of "
        f"{len(told)} series{split}{listed}."
    )


def _short(summary: Summary, each: Contrast) -> Contrast:
    name = named(summary, each.series.series)
    return each._replace(series=each.series._replace(series=name))


def no_power(contrasts: Sequence[Contrast]) -> str:
    """Say that no result of so few seeds or splits could be beyond chance; "" where one could."""
    told = [each.test_loss or each.test_score for each in contrasts]
    pairs = [each.pairs for each in told if each is not None]
    if not pairs or smallest_p(min(pairs), len(pairs)) <= SIGNIFICANT:
        return ""
    return _least_p(min(pairs), len(pairs), contrasts[0].unit)


def _least_p(pairs: int, comparisons: int, unit: str) -> str:
    least = smallest_p(pairs, comparisons)
    among = f" in {comparisons} comparisons" if comparisons > 1 else ""
    return f"{counted(pairs, unit)} can't reach p below {least:.2g}{among}"


def _change(each: Contrast, found: Difference) -> str:
    return f"{each.series.series} {found.mean:+.3g}{_bounds(found)} (Holm p {found.adjusted_p:.2g})"


def _bounds(found: Difference, base: float | None = None) -> str:
    """Return an interval in brackets, of a slope as factors; nothing where it isn't bounded."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    if base is not None:
        return f" [{base**found.low:.3g}, {base**found.high:.3g}]"
    return f" [{found.low:+.3g}, {found.high:+.3g}]"


def _rate_free(summary: Summary, found: Asked) -> list[str]:
    """Say what series that find a rate for themselves come to, beside the best that is tuned."""
    free = [row for row in summary.best if row.series in found.rate_free]
    tuned = [row for row in summary.best if row.series not in found.rate_free and row.rates > 1]
    if not free or not tuned:
        return []
    best = min(tuned, key=lambda row: row.loss)
    rows = [f"{named(summary, row.series)} {row.validation_loss}" for row in free]
    return [
        f"Without choosing a rate the validation loss comes to {'; '.join(rows[:MOST_NAMED])}; the "
        f"best that was tuned, {named(summary, best.series)}, to {best.validation_loss}."
    ]


def _range(summary: Summary) -> str:
    """Say what the rate does, of the best series, where the question is another."""
    best = summary.chosen
    group = summary.of_series(best.series)
    low, high = group[0], group[-1]
    ended = at_best(summary, best, name=False)
    return (
        f"Best on validation is {named(summary, best.series)}: {ended}, "
        f"{low.loss:.3g} at {low.learning_rate:.3g} "
        f"and {high.loss:.3g} at {high.learning_rate:.3g}."
    )


def _over(summary: Summary) -> str:
    """Say what intervals and p-values are over, and so what they don't speak of."""
    found = summary.design
    if found.splits == 1 and found.seeds == 1:
        return "One seed at one split: an effect can't be told from chance."
    beyond = "; they say nothing of other splits" if found.splits == 1 else ""
    return f"Intervals and p are {found.over}{beyond}."


def short_names(summary: Summary) -> dict[str, str]:
    """Return what series are called: by their labels where names are long and of several axes."""
    names = {name: name for name in summary.settings}
    is_short = max(map(len, names), default=0) <= LONG
    return names if is_short or len(asked(summary).axes) < 2 else summary.labels().of


def named(summary: Summary, series: str) -> str:
    """Return a series' name for a sentence: a long one by what it differs in from the first."""
    names, told = list(summary.settings), short_names(summary)
    if max(map(len, told.values())) <= LONG:
        return told[series]
    if series == names[0]:
        return FIRST
    return differing([summary.settings[names[0]], summary.settings[series]])[1]


def spoken(axis: str) -> str:
    """Return an axis as a sentence names it."""
    return SPOKEN.get(axis, axis.replace("_", " "))
