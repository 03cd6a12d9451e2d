"""Series side by side: paired differences, states by rate, the best rate along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import altair as alt
import numpy as np

from jax_backprop.report.charts import (
    PICK,
    Chart,
    color_of,
    dashes_of,
    data,
    headed,
    legend_of,
    log_axis,
    picked,
    rate_axis,
    series_axis,
    styled,
)
from jax_backprop.report.palette import BLUE, GREY, INK, RED, SOFT, STATE_COLORS
from jax_backprop.study import Summary
from jax_backprop.study.answers import FIRST
from jax_backprop.study.comparisons import SIGNIFICANT, Difference
from jax_backprop.study.drift import level
from jax_backprop.study.edge import STATES as EDGE_STATES
from jax_backprop.study.questions import asked
from jax_backprop.study.rows import Contrast, Frame
from jax_backprop.study.series import Labels, setting_text, together, value_text, words_of
from jax_backprop.study.states import STATES, state

ROW = 21
MOST = 40  # rows of a chart
SHORT = 28  # characters of a name in an axis' title
FIRST_SCREEN = 12  # rows of one that a first screen has room for
MOST_LINES = 14  # of a chart: the colours twice
MOST_NAMED = 21  # lines of few points: the colours thrice
SIGNED = 0.012  # of a map's width: a narrower cell has no room for its sign
# In the order of ``edge.STATES``: what is asked for is darkest.
_GOOD, _ROSE, _SLOW, _POOR, _FAILED = STATE_COLORS
AT_EDGE = {
    "below the limit": _SLOW,
    "at the limit": _GOOD,
    "above it": _ROSE,
    "learned nothing": _POOR,
    "failed": _FAILED,
}
BETTER, WORSE, UNDECIDED = "better", "worse", "not told apart"
COLORS = {BETTER: BLUE, WORSE: RED, UNDECIDED: GREY}
SIGNS = (
    "",
    "",
    "\N{HORIZONTAL ELLIPSIS}",
    "-",
    "\N{MULTIPLICATION SIGN}",
)  # of the states, for readers without the colours


def forest_rows(contrasts: Sequence[Contrast], measure: str) -> list[dict[str, Any]]:
    """Return the differences that are drawn, the best first; an end that isn't bounded is None."""
    rows = []
    for each in contrasts:
        found: Difference | None = getattr(each, measure)
        if found is None or not np.isfinite(found.mean):
            continue
        verdict = BETTER if each.is_better(found.mean, measure) else WORSE
        bounded = bool(np.isfinite([found.low, found.high]).all())
        rows.append(
            {
                "series": each.series.series,
                "mean": found.mean,
                "low": found.low if bounded else None,
                "high": found.high if bounded else None,
                "adjusted p": found.adjusted_p,
                "verdict": verdict if found.adjusted_p <= SIGNIFICANT else UNDECIDED,
            }
        )
    lower_first = bool(contrasts) and contrasts[0].is_better(-1.0, measure)
    return sorted(rows, key=lambda row: row["mean"] if lower_first else -row["mean"])


def forest(
    contrasts: Sequence[Contrast], measure: str, against: str, named: Labels, most: int = MOST
) -> Chart:
    """Return paired differences with 95% intervals, sorted by effect; outliers are clipped."""
    rows = forest_rows(contrasts, measure)
    rows = rows if len(rows) <= most else [*rows[: most // 2], *rows[-most // 2 :]]
    shown = [named.of.get(name, name) for name in (str(row["series"]) for row in rows)]
    means = np.array([row["mean"] for row in rows])
    reach = 4 * float(np.median(np.abs(means))) or float(np.abs(means).max()) or 1.0
    ends = [v for row in rows for v in (row["mean"], row["low"], row["high"]) if v is not None]
    low, high = max(min(0.0, *ends), -reach), min(max(0.0, *ends), reach)
    for row in rows:
        row["shown"] = float(np.clip(row["mean"], low, high))
        row["label"] = named.of.get(str(row["series"]), row["series"])
    title = f"{contrasts[0].named(measure)} minus {against if len(against) <= SHORT else FIRST}"
    scale = alt.Scale(domain=[low, high], clamp=True)
    x = alt.X("shown:Q", title=title, scale=scale, axis=alt.Axis(format="~g", tickCount=5))
    told = alt.Scale(domain=list(COLORS), range=list(COLORS.values()))
    base = alt.Chart(data(rows)).encode(
        y=series_axis(shown),
        color=alt.Color("verdict:N", title=None, scale=told),
        opacity=alt.condition(PICK, alt.value(1), alt.value(0.15)),
    )
    tips = ["series:N", *(alt.Tooltip(f"{n}:Q", format=".3g") for n in ("mean", "low", "high"))]
    tips += [alt.Tooltip("adjusted p:Q", format=".2g")]
    zero = alt.Chart(data([{"zero": 0.0}])).mark_rule(color=SOFT).encode(x="zero:Q")
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
    inside = base.transform_filter("datum.shown == datum.mean").mark_point(filled=True, size=60)
    beyond = base.transform_filter("datum.shown != datum.mean")
    left = beyond.transform_filter("datum.mean < 0").mark_point(shape="triangle-left", size=80)
    right = beyond.transform_filter("datum.mean > 0").mark_point(shape="triangle-right", size=80)
    points = [part.encode(x=x, tooltip=tips) for part in (inside, left, right)]
    layers = alt.layer(zero, bars.encode(x=alt.X("low:Q", scale=scale), x2="high:Q"), *points)
    height = max(60, ROW * len(shown))
    return styled(layers.add_params(picked()), height=height, **headed(named.title))


def state_rows(summary: Summary, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the state of each series at each rate above 0."""
    best = {row.series: row for row in summary.best}
    return [
        {
            "series": row.series,
            "learning_rate": row.learning_rate,
            "state": state(row, best[row.series]),
            "validation_loss": row.loss,
            "failed": row.diverged,
            "runs": row.runs,
        }
        for name in names
        for row in summary.tried(name)
    ]


def states_chart(summary: Summary, names: Sequence[str]) -> Chart:
    """Return series by rate, a cell's colour and sign its state in plain words."""
    rows = _spread(state_rows(summary, names), "learning_rate")
    tips = ["failed:Q", "runs:Q"]
    tips += [alt.Tooltip(f"{n}:Q", format=".3g") for n in ("learning_rate", "validation_loss")]
    colors: dict[str, str] = dict(zip(STATES, STATE_COLORS, strict=True))
    return _state_map(rows, summary.labels(names), colors, "learning rate", tips)


def edge_chart(summary: Summary, table: Frame) -> Chart:
    """Return series by rate in units of 2/sharpness at the start, coloured by what came of it.

    Args:
      summary: of the study.
      table: as of ``edge.by_rate``.
    """
    told = dict(zip(EDGE_STATES, AT_EDGE, strict=True))
    columns = ["series", "learning_rate", "times", "state"]
    rows = [row | {"state": told[row["state"]]} for row in table[columns].to_dict("records")]
    tips = [alt.Tooltip(f"{n}:Q", format=".3g") for n in ("learning_rate", "times")]
    title = "rate / (2/sharpness at the start)"
    named = summary.labels(list(dict.fromkeys(row["series"] for row in rows)))
    return _state_map(_spread(rows, "times"), named, AT_EDGE, title, tips)


def _spread(rows: Sequence[dict[str, Any]], at: str) -> list[dict[str, Any]]:
    """Return rows with the ends of their cells: halfway in log to what lies beside them."""
    spread = []
    for _, mine in groupby(sorted(rows, key=lambda row: row["series"]), lambda row: row["series"]):
        ordered = sorted(mine, key=lambda row: row[at])
        places = np.array([row[at] for row in ordered], np.float64)
        steps = np.sqrt(places[1:] / places[:-1])
        outer = float(np.median(steps)) if len(steps) else 1.2
        halves = [outer, *steps, outer]
        spread += [
            row | {"at": place, "left": place / low, "right": place * high}
            for row, place, low, high in zip(ordered, places, halves, halves[1:], strict=False)
        ]
    return spread


def _state_map(
    rows: Sequence[dict[str, Any]],
    named: Labels,
    colors: Mapping[str, str],
    title: str,
    tips: list[Any],
) -> Chart:
    """Return a row a series, a cell's colour and sign its state; narrow cells have no sign."""
    signs, shown = dict(zip(colors, SIGNS, strict=True)), list(named.of.values())
    ends = [min(row["left"] for row in rows), max(row["right"] for row in rows)]
    for row in rows:
        share = np.log(row["right"] / row["left"]) / np.log(ends[1] / ends[0])
        row |= {"label": named.of[row["series"]]}
        row |= {"sign": signs[row["state"]] if share > SIGNED else ""}
    x = rate_axis(ends, field="left").title(title)
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    base = alt.Chart(data(rows)).encode(
        y=series_axis(shown), opacity=alt.condition(PICK, alt.value(1), alt.value(0.15))
    )
    color = alt.Color("state:N", title=None, scale=scale)
    tips = ["series:N", "state:N", *tips]
    cells = base.mark_rect().encode(x=x, x2="right:Q", color=color, tooltip=tips)
    text = base.mark_text(fontSize=10, color=INK).encode(x="at:Q", text="sign:N")
    layers = alt.layer(cells, text).add_params(picked())
    return styled(layers, height=max(60, ROW * len(shown)), **headed(named.title))


def axis_chart(summary: Summary, axis: str, words: str) -> Chart:
    """Return each series' best rate against a numeric axis, with the rates near it."""
    by, first, rows = asked(summary).named, next(iter(summary.settings.values())), []
    apart = {*together(summary.study, axis), by}
    for row in summary.best:
        given = summary.settings[row.series]
        value = level(summary, axis, given.get(axis))
        if value is not None and value > 0 and row.learning_rate > 0:
            fixed = {k: v for k, v in given.items() if k.partition(".")[0] not in apart}
            told = {"value": value, "by": setting_text(given, by) if by else ""}
            told["others"] = ", ".join(f"{k}={value_text(v)}" for k, v in fixed.items())
            told["first"] = all(first.get(k) == v for k, v in fixed.items())
            if isinstance(given.get(axis), tuple):  # deeper networks are a line of their own
                told["others"] += f", depth={len(given[axis])}"
                told["first"] = told["first"] and len(given[axis]) == len(first[axis])
            rows.append({**told, **row.plain()})
    values = sorted({row["value"] for row in rows})
    ticks = alt.Axis(values=values, format="~g", grid=False)
    scale = alt.Scale(type="log", nice=False, padding=20)
    x = alt.X("value:Q", title=words.removeprefix("the "), scale=scale, axis=ticks)
    domain = list(dict.fromkeys(row["by"] for row in rows))
    told = Labels(words_of(by), {name: name for name in domain})
    legend = legend_of(told, domain) if 1 < len(domain) <= MOST_NAMED else None
    color = alt.Color("by:N", scale=color_of(domain), legend=legend)
    base = alt.Chart(data(rows)).encode(x=x, color=color, detail="others:N")
    dashes = alt.StrokeDash("by:N", scale=dashes_of(domain), legend=legend)
    y = log_axis("learning_rate:Q", "best learning rate")
    tips = [alt.Tooltip(f"{n}:Q", format=".3g") for n in ("value", "learning_rate")]
    tips += [alt.Tooltip("validation_loss:Q", format=".3g"), "series:N"]
    own = base.transform_filter("datum.first")
    bars = own.mark_rule(strokeWidth=6, opacity=0.25).encode(y="band_low:Q", y2="band_high:Q")
    lines = [own.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dashes)]
    if not all(row["first"] for row in rows):
        others = base.transform_filter("!datum.first").mark_line(opacity=0.25, point={"size": 15})
        lines.insert(0, others.encode(y=y, tooltip=tips))
    points = own.mark_point(filled=True, size=90, opacity=1).encode(y=y, tooltip=tips)
    return styled(alt.layer(bars, *lines, points))
