"""The figures of a study, as Altair charts: page and static pictures come from the same ones."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt
import numpy as np

from jax_backprop.errors import finite
from jax_backprop.report.palette import BLUE, GREEN, GREY, INK, LINE, PAPER, RED, SERIES, SOFT
from jax_backprop.study import Summary
from jax_backprop.study.boundaries import WORDS, Boundaries
from jax_backprop.study.rate_answers import nearest_rate
from jax_backprop.study.rows import BestRate, RateRow, flat
from jax_backprop.study.series import Labels
from jax_backprop.study.states import Regions, regions

Chart: TypeAlias = alt.TopLevelMixin
Rows: TypeAlias = Sequence[Mapping[str, str | float | int | bool | None]]
HEIGHT = 270
WIDE = 760  # pixels of a static picture; in a page a chart is as wide as its place
SEARCHED = {"rate_best": "best training"}  # beside the best on validation
CHOSEN = "chosen"  # the signal that the slider, arrow keys and pointer set: a rate's place
PICKED = "picked"  # the signal of the series that are ticked
PICK = f"length({PICKED}) == 0 || indexof({PICKED}, datum.series) >= 0"
LINE_LENGTH = 44  # characters: a phone shows them
LABELS = 480  # pixels of a name before it is cut
LEGEND = 980  # of all that stand side by side
CROSS = "\N{MULTIPLICATION SIGN}"


def data(rows: Rows) -> alt.Data:
    """Return rows as a chart's data; what isn't finite is null."""
    return alt.Data(values=finite(list(rows)))


def styled(chart: Any, *, height: int | None = HEIGHT, **given: Any) -> Chart:
    """Return a chart as wide as its place, in the colours and the type of all pages."""
    size = {"width": "container"} | ({"height": height} if height else {})
    return configured(chart.properties(**size, **given))


def configured(chart: Any) -> Chart:
    """Return a chart in the colours and the type of all pages."""
    text = {"labelColor": SOFT, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    return (
        chart.configure(
            aria=False, background="transparent", font="system-ui, sans-serif", padding=4
        )
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=LINE,
            domainColor=SOFT,
            tickColor=SOFT,
            titleFontWeight=400,
            labelSeparation=6,
            labelFlush=False,
            **text,
        )
        .configure_legend(
            **text, symbolOpacity=1, orient="top", titleFontWeight=400, titleLimit=500
        )
        .configure_title(color=INK, fontSize=12, anchor="start")
        .configure_text(color=INK, fontSize=12)
    )


def rate_chart(
    summary: Summary, best: BestRate, title: str, found: Boundaries | None = None
) -> Chart:
    """Return loss against rate of one series: where it is too slow, works and fails.

    Args:
      summary: of the study.
      best: the series, at its best rate.
      title: of the loss's axis.
      found: its boundaries, where a search lies beside the study.
    """
    rows = summary.tried(best.series)
    where = regions(rows, best)
    shown = [
        {"n": n, "learning_rate": row.learning_rate, **flat({"loss": row.validation_loss})}
        for n, row in enumerate(rows)
        if np.isfinite(row.loss) and row.loss > 0
    ]
    start = float(np.median(summary.cells["loss_at_start"]))
    losses = [row.loss for row in rows if np.isfinite(row.loss) and row.loss > 0]
    ends = [min(losses) / 2, max(1.3 * min(losses), min(max(losses), 10 * start))]
    x, y = rate_axis([where.least, where.largest]), log_axis("loss:Q", title, ends)
    base = alt.Chart(data(shown)).encode(x=x)
    band = base.mark_area(opacity=0.2, color=BLUE, clip=True)
    line = base.mark_line(color=BLUE, strokeWidth=2, clip=True).encode(y=y)
    place = next(n for n, row in enumerate(rows) if row.learning_rate == best.learning_rate)
    chosen = alt.param(name=CHOSEN, value=place)
    now = base.transform_filter(f"datum.n == {CHOSEN}")
    rule = now.mark_rule(color=SOFT, strokeWidth=1).encode(x=x)
    point = now.mark_point(filled=True, size=90, color=BLUE, opacity=1).encode(y=y)
    layers = [
        *_regions(where, x),
        band.encode(y=log_axis("loss_low:Q", title, ends), y2="loss_high:Q"),
        line,
        *_searched(found, where, x),
        *_labelled(summary, best, rows, x, y),
        rule,
        point.add_params(chosen),
    ]
    return styled(alt.layer(*layers))


def _regions(where: Regions, x: Any) -> list[Any]:
    """Return the three regions: shaded, and named at their top."""
    (low, high), fails = where.works, where.fails
    spans = [("too slow", where.least, low, GREY), ("works", low, high, GREEN)]
    spans += [("fails", fails, where.largest, RED)] if fails else []
    layers = []
    for name, start, end, color in spans:
        if end <= start:
            continue
        middle = (start * end) ** 0.5
        base = alt.Chart(data([{"learning_rate": start, "end": end, "middle": middle}]))
        shade = base.mark_rect(color=color, opacity=0.13).encode(x=x, x2="end:Q")
        text = base.mark_text(text=name, color=INK, fontWeight=600)
        layers += [shade, text.encode(x=alt.X("middle:Q"), y=alt.value(-8))]  # above the lines
    return layers


def _labelled(
    summary: Summary, best: BestRate, rows: Sequence[RateRow], x: Any, y: Any
) -> list[Any]:
    """Return the best rate and rates of 1, as points with their names."""
    batch = summary.study.get("batch_size")
    wanted = {"rate 1": 1.0} | ({"rate 1 on the batch's sum": float(batch)} if batch else {})
    found = {name: nearest_rate(rows, rate) for name, rate in wanted.items()}
    marked = {f"best {best.learning_rate:.3g}": best} | {n: row for n, row in found.items() if row}
    layers = []
    for place, (name, row) in enumerate(marked.items()):
        if not np.isfinite(row.loss) or row.loss <= 0:
            continue
        given = {"learning_rate": row.learning_rate, "loss": row.loss}
        base = alt.Chart(data([given])).encode(x=x, y=y)
        layers.append(base.mark_point(filled=True, size=60, color=INK, opacity=1, clip=True))
        across = (
            {"align": "center", "dy": 16} if not place else {"align": "right", "dx": -9, "dy": -4}
        )
        halo = {"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round", "opacity": 0.8}
        layers.append(base.mark_text(text=name, color=PAPER, **halo, **across))
        layers.append(base.mark_text(text=name, color=INK, **across))
    return layers


def _searched(found: Boundaries | None, where: Regions, x: Any) -> list[Any]:
    """Return the boundaries that a search found, each with its name along it."""
    if found is None:
        return []
    rows = [
        {"learning_rate": rate.mean, "name": SEARCHED.get(kind, WORDS[kind])}
        for kind, rate in found.rates.items()
        if where.least <= rate.mean <= where.largest
    ]
    base = alt.Chart(data(rows)).encode(x=x)
    text = base.mark_text(angle=270, align="right", dx=-62, dy=-6, fontSize=11, color=SOFT)
    rules = base.mark_rule(strokeDash=[4, 3], color=SOFT)
    return [rules, text.encode(text="name:N", y=alt.value(0))]


def loss_by_rate(rows: Sequence[RateRow], title: str, named: Labels, start: float) -> Chart:
    """Return loss against rate, a line a series; a cross where most runs failed.

    Args:
      rows: of the series, at their rates.
      title: of the loss's axis.
      named: the series, by their labels.
      start: a run's loss before training; what ends over ten times that is beyond the axis.
    """
    names = list(dict.fromkeys(row.series for row in rows))
    shown = [
        {"series": row.series, "label": named.of[row.series], "learning_rate": row.learning_rate}
        | {"validation_loss": row.loss, f"test_{row.score}": row.test_score.mean}
        | {"failed": row.diverged, "runs": row.runs, "fails": row.fails}
        for row in rows
        if row.learning_rate > 0 and np.isfinite(row.loss) and row.loss > 0
    ]
    domain = [named.of[name] for name in names]
    legend = legend_of(named, domain)
    color = alt.Color("label:N", scale=color_of(domain), legend=legend)
    seen = alt.condition(PICK, alt.value(1), alt.value(0.1))
    base = alt.Chart(data(shown)).encode(
        x=rate_axis([row["learning_rate"] for row in shown]), color=color, opacity=seen
    )
    losses = [float(row["validation_loss"]) for row in shown]
    ends = [min(losses, default=1.0) / 1.5, min(max(losses, default=1.0), 10 * start)]
    y = log_axis("validation_loss:Q", title, ends if ends[0] < ends[1] else None)
    dashes = alt.StrokeDash("label:N", scale=dashes_of(domain), legend=legend)
    line = base.mark_line(clip=True).encode(y=y, strokeDash=dashes)
    tips = [alt.Tooltip("series:N"), *(_tip(name) for name in ("learning_rate", "validation_loss"))]
    scores = {f"test_{row.score}" for row in rows}
    tips += [*map(_tip, scores), alt.Tooltip("failed:Q"), alt.Tooltip("runs:Q")]
    points = base.mark_point(filled=True, size=30, clip=True).encode(y=y, tooltip=tips)
    layers = [line, points]
    if any(row["fails"] for row in shown):
        cross = base.transform_filter("datum.fails").mark_text(text=CROSS, fontSize=15, clip=True)
        layers.append(cross.encode(y=y, tooltip=tips))
    return styled(alt.layer(*layers).add_params(picked()))


def curves_chart(rows: Rows, title: str, guess: float, place: int) -> Chart:
    """Return training loss against the step at the rate that is chosen: median and quartiles."""
    chosen = alt.param(name=CHOSEN, value=place)
    base = alt.Chart(data(rows)).transform_filter(f"datum.n == {CHOSEN}")
    base = base.encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=5, tickMinStep=1, grid=False))
    )
    seen = [float(row[key] or guess) for row in rows for key in ("low", "high")]
    ends = [min(seen), min(max(seen), 10 * guess)]
    y = log_axis("median:Q", title, ends)
    band = base.mark_area(opacity=0.2, color=BLUE, clip=True)
    line = base.mark_line(color=BLUE, strokeWidth=2, clip=True).encode(y=y)
    start = alt.Chart(data([{"median": guess}])).mark_rule(strokeDash=[4, 3], color=SOFT)
    band = band.encode(y=log_axis("low:Q", title, ends), y2="high:Q")
    return styled(alt.layer(band, line, start.encode(y=y)).add_params(chosen), height=200)


def rate_axis(rates: Sequence[Any], field: str = "learning_rate", margin: float = 1.0) -> alt.X:
    """Return the axis of learning rates, in log with a tick a decade."""
    low, high = min(rates) / margin, max(rates) * margin
    decades = range(int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1)
    scale = alt.Scale(
        type="log", domain=[low, high] if low < high else [low / 2, high * 2], nice=False
    )
    axis = alt.Axis(
        format="~g", values=[10.0**n for n in decades], grid=False, labelOverlap="greedy"
    )
    return alt.X(f"{field}:Q", scale=scale, title="learning rate", axis=axis)


def log_axis(field: str, title: str, domain: list[Any] | None = None) -> alt.Y:
    """Return an axis of losses, in log."""
    scale = alt.Scale(type="log") if domain is None else alt.Scale(type="log", domain=domain)
    return alt.Y(
        field, scale=scale, title=title, axis=alt.Axis(format="~g", tickCount=5, grid=False)
    )


def color_of(names: Sequence[str]) -> alt.Scale:
    """Return a colour for each series; from the eighth on they differ in their dashes."""
    return alt.Scale(domain=list(names), range=[SERIES[n % len(SERIES)] for n in range(len(names))])


def dashes_of(names: Sequence[str]) -> alt.Scale:
    """Return a line's dashes for each series: the first seven are whole."""
    rounds = ([1, 0], [6, 3], [2, 2])
    dashes = [rounds[n // len(SERIES) % len(rounds)] for n in range(len(names))]
    return alt.Scale(domain=list(names), range=dashes)


def picked() -> alt.Parameter:
    """Return the signal of the series that are ticked, by which ``PICK`` judges."""
    return alt.param(name=PICKED, value=[])


def series_axis(shown: Sequence[str]) -> alt.Y:
    """Return an axis of series by their labels, in this order."""
    axis = alt.Axis(labelLimit=LABELS, ticks=False, grid=False)
    scale = alt.Scale(domain=list(shown))
    return alt.Y("label:N", title=None, scale=scale, axis=axis)


def legend_of(named: Labels, shown: Sequence[str]) -> alt.Legend:
    """Return a legend of labels, in as many columns as there is room for."""
    columns = max(1, min(len(shown), LEGEND // (30 + 7 * max(map(len, shown), default=1))))
    return alt.Legend(labelLimit=LEGEND, columns=columns, title=named.title or None)


def headed(title: str) -> dict[str, alt.TitleParams]:
    """Return the title of a chart of series: what the parts of their labels are."""
    lines = textwrap.wrap(title, LINE_LENGTH)
    head = alt.TitleParams(lines, frame="bounds", fontWeight=400, offset=4)
    return {"title": head} if title else {}


def _tip(name: str) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", format=".3g", title=name.replace("_", " "))
