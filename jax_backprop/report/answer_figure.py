"""The homework's answer as one figure: loss against rate, its boundaries, and two rates of 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from jax_backprop.report.tables import unit
from jax_backprop.study import Summary
from jax_backprop.study.boundaries import Boundaries
from jax_backprop.study.rate_answers import nearest_rate
from jax_backprop.study.rows import RateRow, table_of

WIDTH, HEIGHT = 640, 320
MARKS = {  # columns of a boundary's row: label and colour
    "limit": ("2 / sharpness at the start", "#000000"),
    "rate_monotone": ("loss first rises", "#56B4E9"),
    "rate_best": ("training loss best", "#009E73"),
    "rate_diverged": ("training fails", "#D55E00"),
}
LINE = "#0072B2"


def answer_figure(summary: Summary, found: Boundaries) -> Any:
    """Return final loss against rate of the first series, and where its boundaries lie.

    Args:
      summary: of a study.
      found: a row of ``boundaries``, of the same network at a constant rate.
    """
    first = summary.of_series(summary.best[0].series)
    first = [row for row in first if row.learning_rate > 0 and np.isfinite(row.loss)]
    rates = table_of(first)
    low, high = rates["learning_rate"].min(), rates["learning_rate"].max()
    decades = [10.0**n for n in range(round(np.log10(low)), round(np.log10(high)) + 1)]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(format="~g", values=decades, grid=False)
    x = alt.X("learning_rate:Q", scale=scale, axis=axis, title="learning rate")
    y = alt.Y(
        "validation_loss:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format="~g", tickCount=5),
        title=f"final validation loss ({unit(summary)})",
    )
    base = alt.Chart(rates).encode(x=x)
    band = base.mark_area(opacity=0.25, color=LINE).encode(
        y="validation_loss_low:Q", y2="validation_loss_high:Q"
    )
    line = base.mark_line(color=LINE).encode(y=y)
    layers = [*_boundaries(found, x), band, line, *_untuned(summary, first, x, y)]
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _boundaries(found: Boundaries, x: Any) -> list[Any]:
    """Return a line and a band of its interval for each boundary that has one."""
    rows = [
        {"learning_rate": mean, "low": low, "high": high, "boundary": label}
        for name, (label, _) in MARKS.items()
        for mean, low, high in ([found.rates[name]] if name in found.rates else [])
        if np.isfinite(high) and low > 0
    ]
    shown = pd.DataFrame(rows)
    names, colors = zip(*MARKS.values(), strict=True)
    color = alt.Color(
        "boundary:N",
        title="at a constant rate",
        scale=alt.Scale(domain=list(names), range=list(colors)),
        legend=alt.Legend(symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3),
    )
    base = alt.Chart(shown).encode(color=color)
    bands = base.mark_rect(opacity=0.2, strokeWidth=0).encode(x="low:Q", x2="high:Q")
    return [bands, base.mark_rule(strokeWidth=1.5).encode(x=x)]


def _untuned(summary: Summary, rates: Sequence[RateRow], x: Any, y: Any) -> list[Any]:
    """Return points at rate 1 on the mean loss, and on the sum over a batch."""
    batch = summary.study.get("batch_size")
    wanted = {"rate 1 on the mean": 1.0} | ({"rate 1 on the sum": float(batch)} if batch else {})
    rows = []
    for label, rate in wanted.items():
        near = nearest_rate(rates, rate)
        if near is not None:
            rows.append(
                {"learning_rate": near.learning_rate, "validation_loss": near.loss, "label": label}
            )
    if not rows:
        return []
    base = alt.Chart(pd.DataFrame(rows)).encode(x=x, y=y)
    text = base.mark_text(align="left", dx=9, dy=13, fontSize=12, fontWeight="bold")
    text = text.encode(text="label:N")
    return [base.mark_point(filled=True, size=90, color="#000000", opacity=1), text]
