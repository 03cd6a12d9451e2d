"""The first screen of a study: one sentence that answers its question, and three figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from jax_backprop.study.answers import named, no_power, spoken
from jax_backprop.study.boundaries import RATES as RATES_FOUND
from jax_backprop.study.boundaries import WORDS, Boundaries, boundaries
from jax_backprop.study.comparisons import SIGNIFICANT, Difference
from jax_backprop.study.drift import Drift, drifts
from jax_backprop.study.edge import edge_answer, is_about_edge
from jax_backprop.study.halved import halved, halved_figures, halved_sentence
from jax_backprop.study.questions import Asked, asked
from jax_backprop.study.rate_answers import learned_nothing
from jax_backprop.study.rows import BestRate, Contrast, Figure
from jax_backprop.study.runs import counted
from jax_backprop.study.series import setting_text
from jax_backprop.study.states import far_above, first_failing, loss_at
from jax_backprop.study.summary import Summary
from jax_backprop.study.tuned import MOST_COMPARED

RULE = "rate_rule"  # the axis
MOST_TOLD = 3  # values in one sentence
MISSED = 3.0  # the factor by which a rate is missed, in what that costs
# What answers a question: the loss over rates, the best rate over an axis, series side by side.
RATES, AXIS, SERIES, BOUNDARIES = "rates", "axis", "series", "boundaries"
EDGES, HALVED = "edges", "halved"  # where sharpness hovers at its limit; what a search left


class Headline(NamedTuple):
    """What a page says first.

    Args:
      kind: what its chart shows: "rates", "axis", "series", "boundaries", "edges" or "halved".
      axis: the numeric axis that the answer is about; "" of other kinds.
      series: the best rate of the series that the figures, and a chart of rates, are about.
    """

    kind: str
    axis: str
    sentence: str
    figures: tuple[Figure, ...]
    series: BestRate


def headline(summary: Summary, contrasts: Sequence[Contrast]) -> Headline:
    """Return the answer in one sentence of at most 25 words and two numbers, and its figures."""
    found = asked(summary)
    several = [row for row in summary.best if row.rates > 1]
    best = (several or summary.best)[0] if found.is_about_rates else summary.chosen
    figures = (_best(summary, best), _missing(summary, best), _failing(summary, best))
    if len(summary.best) > 1 and not found.is_about_rates:
        figures = (
            figures[0]._replace(note=f"{named(summary, best.series)}: {figures[0].note}"),
            *figures[1:],
        )
    if not any(math.isfinite(row.loss) for row in summary.best):
        return Headline(RATES, "", "No run ended with a finite loss: no answer.", figures, best)
    if "resolution" in summary.study:
        return Headline(BOUNDARIES, "", *_boundaries(summary), summary.best[0])
    if (search := halved(summary)) is not None:
        told = halved_figures(search)
        return Headline(HALVED, "", halved_sentence(search), told, search.best)
    if found.is_about_rates:
        return Headline(RATES, "", _rates(summary, best), figures, best)
    if is_about_edge(summary, found):
        edge = edge_answer(summary)
        return Headline(EDGES, "", edge.sentence, edge.figures, best)
    if not found.can_be_answered:
        text = f"These results can't answer the question: {spoken(found.about)} doesn't vary here."
        return Headline(RATES, "", text, figures, best)
    return _compared(summary, contrasts, found, figures, best)


def _compared(
    summary: Summary,
    contrasts: Sequence[Contrast],
    found: Asked,
    figures: tuple[Figure, ...],
    best: BestRate,
) -> Headline:
    """Answer a question that isn't about rates alone: rules, a numeric axis, or series."""
    if RULE in found.axes and not found.about and (text := _without(summary, found)):
        return Headline(SERIES, "", text, figures, best)
    axis = found.about or next(iter(found.numeric), "")
    if axis == found.named and found.about and found.numeric:
        axis = found.numeric[0]  # its values are told apart by how they move the rate along that
    if found.rates and (found.about or not found.named or no_power(contrasts)):
        moved = drifts(summary, axis, found.named) if axis in found.numeric else {}
        if moved:
            return Headline(AXIS, axis, _axis(axis, moved), figures, best)
    if len(summary.best) > MOST_COMPARED:
        return Headline(SERIES, "", _many(summary), figures, best)
    return Headline(SERIES, "", _series(summary, contrasts, found), figures, best)


def between(contrasts: Sequence[Contrast]) -> str:
    """Return in one sentence whether a second study, B, differs from a first, A."""
    sides = [
        each._replace(
            series=each.series._replace(series="B"), control=each.control._replace(series="A")
        )
        for each in contrasts
    ]
    return _against("A", sides, ", each at its own tuned rate")


def _rates(summary: Summary, best: BestRate) -> str:
    rows = summary.of_series(best.series)
    if len(rows) == 1:
        return f"One rate alone, {best.learning_rate:.3g}, can't say whether choosing one is wise."
    if learned_nothing(summary, best):
        return "Nothing was learned at any rate of this grid: try others."
    failing, worst = first_failing(rows, best), max(row.loss for row in rows)
    if failing is not None:
        return (
            f"Yes, because the rate decides the outcome: {best.learning_rate:.3g} trains best, and "
            f"from {failing.learning_rate:.3g} on most {summary.design.run}s fail."
        )
    if not far_above(rows, best):
        return f"Hardly: over all these rates the loss ends within {worst / best.loss:.2g} times."
    return (
        f"Yes, because the rate decides the outcome: {best.learning_rate:.3g} trains best, the "
        f"worst rate ends at {worst / best.loss:.2g} times its loss."
    )


def _axis(axis: str, found: Mapping[str, Drift]) -> str:
    """Say by which factor the best rate moves along an axis, at each value of another or two."""
    if len(found) > 1:
        order = sorted(found, key=lambda value: found[value].slope.mean)
        told = found if len(found) <= MOST_TOLD else (order[0], order[-1])
        said = ", ".join(f"{_factor(found[value])} at {value}" for value in told)
        among = f": the least and the largest of {len(found)}" if len(told) < len(found) else ""
        return f"Per doubling of {spoken(axis)} the best rate moves by a factor {said}{among}."
    slope = next(iter(found.values())).slope
    factor = f"The best rate moves by a factor {2**slope.mean:.3g} per doubling of {spoken(axis)}"
    if slope.smallest_p > SIGNIFICANT:
        return f"{factor}; {slope.pairs} pairs are too few to tell it from chance."
    told = "beyond chance" if slope.p_value <= SIGNIFICANT else "not told from staying"
    return f"{factor}, {told} (p {slope.p_value:.2g})."


def _factor(found: Drift) -> str:
    chance = "" if found.slope.p_value <= SIGNIFICANT else " (within chance)"
    return f"{2**found.slope.mean:.3g}{chance}"


def _series(summary: Summary, contrasts: Sequence[Contrast], found: Asked) -> str:
    if not contrasts:
        return "Nothing can be compared: no run is common to two series."
    tuned = ", each at its own tuned rate" if found.rates else ""
    return _against(named(summary, contrasts[0].control.series), contrasts, tuned)


def _against(control: str, contrasts: Sequence[Contrast], tuned: str) -> str:
    told = [(each, each.test_loss or each.test_score) for each in contrasts]
    known = [(each, difference) for each, difference in told if difference is not None]
    if not known:
        return "Nothing can be compared: no run is common to two series."
    if no_power(contrasts):
        pairs = counted(min(found.pairs for _, found in known), contrasts[0].unit)
        few = "is too few" if pairs.startswith("1 ") else "are too few"
        told = known[0][0].series.series if len(known) == 1 else f"{len(known)} series"
        return f"{pairs} {few} to tell {told} from {control}."
    if len(known) == 1:
        return _one(*known[0], control)
    better = sum(_gains(*pair) for pair in known)
    return f"{better} of {len(known)} series beat {control} beyond chance{tuned}."


def _many(summary: Summary) -> str:
    best, series = summary.chosen, f"{len(summary.best):,} series"
    return (
        f"Of {series} {named(summary, best.series)} ends lowest, at {best.loss:.3g}; "
        "so many can't be told from chance."
    )


def _one(each: Contrast, found: Difference, control: str) -> str:
    measure = "test loss" if each.test_loss is not None else each.named("test_score")
    told = "beyond chance" if found.adjusted_p <= SIGNIFICANT else "within chance"
    return (
        f"{each.series.series} changes the {measure} by {found.mean:+.2g} against {control}, "
        f"{told} (p {found.adjusted_p:.2g})."
    )


def _gains(each: Contrast, found: Difference) -> bool:
    measure = "test_loss" if found is each.test_loss else "test_score"
    return found.adjusted_p <= SIGNIFICANT and each.is_better(found.mean, measure)


def _without(summary: Summary, found: Asked) -> str:
    """Say what rules that find the rate come to, beside the rate tuned in the same setting."""
    groups: dict[str, list[BestRate]] = {}
    for row in summary.best:
        given = summary.settings[row.series]
        kept = {k: v for k, v in given.items() if k.partition(".")[0] not in (RULE, "reduction")}
        groups.setdefault(repr(kept), []).append(row)
    ratios = []
    for rows in groups.values():
        tuned = [row.loss for row in rows if row.series not in found.rate_free and row.rates > 1]
        free = [row.loss for row in rows if row.series in found.rate_free]
        ratios += [loss / min(tuned) for loss in free if tuned and min(tuned) > 0]
    known = sorted(ratio for ratio in ratios if math.isfinite(ratio))
    if not known:
        return ""
    return (
        f"Rules that find the rate end at {known[0]:.2g} to {known[-1]:.2g} times the tuned rate's "
        f"validation loss, {median(known):.2g} at the median."
    )


def _boundaries(summary: Summary) -> tuple[str, tuple[Figure, ...]]:
    every = boundaries(summary.cells, summary.design.overlap)
    found = every[0]
    where = "At the first setting training" if len(every) > 1 else "Training"
    fails = found.rates["rate_diverged"].mean
    until = f"fails from {fails:.3g} on" if math.isfinite(fails) else "fails at no rate tried"
    sentence = _failures(summary, every) or (
        f"{where} is best at a rate of {found.rates['rate_best'].mean:.3g} and {until}."
    )
    figures = []
    for kind in RATES_FOUND:
        rate, times = found.rates[kind], found.times.get(kind)
        note = f"{times.mean:.2g} times 2/sharpness; " if times is not None else ""
        bounds = f"95% from {rate.low:.3g} to {rate.high:.3g}, {found.seeds} seeds"
        figures.append(Figure(WORDS[kind].capitalize(), f"{rate.mean:.3g}", note + bounds))
    return sentence, tuple(figures)


def _failures(summary: Summary, found: Sequence[Boundaries]) -> str:
    """Say where runs fail at each value of what the study is about, all else as at its first."""
    about, first = str(summary.study.get("about") or ""), summary.settings[found[0].series]
    same = {key: value for key, value in first.items() if key.partition(".")[0] != about}
    at = {
        setting_text(given, about): row.rates["rate_diverged"].mean
        for row in found
        for given in [summary.settings[row.series]]
        if about in given and {k: given.get(k) for k in same} == same
    }
    if not at:
        return ""
    (base, own), *others = at.items()
    order = sorted((rate / own, value) for value, rate in others if math.isfinite(rate))
    if not order or not math.isfinite(own):
        return ""
    (least, low), (most, high) = order[0], order[-1]
    if len(order) == 1:
        return f"With {low} training fails at {least:.2g} times the rate of {base}."
    return (
        f"The rate at which training fails is {least:.2g} times ({low}) to {most:.2g} times "
        f"({high}) that of {base}."
    )


def _best(summary: Summary, best: BestRate) -> Figure:
    if best.rates == 1:
        return Figure("Best loss", f"{best.loss:.3g}", best.series)
    edge = ", at the grid's edge: widen it" if best.at_edge else ""
    window = f"{best.band_low:.3g} to {best.band_high:.3g} come within a tenth{edge}"
    if best.band_low == best.band_high:
        window = f"no other rate comes within a tenth{edge}"
    return Figure("Best rate", f"{best.learning_rate:.3g}", window)


def _missing(summary: Summary, best: BestRate) -> Figure:
    """Say what a rate costs that is too small, and one too large, by a factor of 3."""
    rows, rate = summary.of_series(best.series), best.learning_rate
    costs = [loss_at(rows, factor * rate) for factor in (1 / MISSED, MISSED)]
    told = [f"{cost / best.loss:.2g}" if cost and best.loss > 0 else "untried" for cost in costs]
    if told == ["untried", "untried"]:
        return Figure(f"Missing it by {MISSED:g}", "not tried", "no rates so far from the best")
    note = "times the best loss, at a third / at three times the rate"
    return Figure(f"Missing it by {MISSED:g}", " / ".join(told), note)


def _failing(summary: Summary, best: BestRate) -> Figure:
    rows = summary.of_series(best.series)
    first = first_failing(rows, best)
    if first is not None:
        times = first.learning_rate / best.learning_rate
        note = f"{times:.2g} times the best; there most {summary.design.run}s fail"
        return Figure("Fails from", f"{first.learning_rate:.3g}", note)
    failed = sum(row.diverged for row in rows)
    note = f"of {sum(row.runs for row in rows):,}, at rates up to {rows[-1].learning_rate:.3g}"
    return Figure("Runs that failed", f"{failed:,}", note)
