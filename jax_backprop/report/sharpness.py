"""Loss and sharpness on one time axis, beside the limit of the quadratic model."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from jax_backprop.report.palette import SERIES
from jax_backprop.study.rows import Frame

SHOWN_RATES = 4  # a panel: the largest that don't diverge, half a decade apart
SHOWN_SERIES = 12  # the first of them
WIDTH, HEIGHT = 210, 130
SHOWN = ["step", "train_loss", "sharpness", "ratio", "limit"]


def time_axis(points: Frame) -> Any:
    """Return, for each series, loss over sharpness against the step, at a few rates of one seed."""
    first = points[points["seed"] == points["seed"].min()]
    panels = [_panel(name, group) for name, group in first.groupby("title", sort=False)]
    panels = panels[:SHOWN_SERIES]
    return alt.concat(*panels, columns=3).resolve_scale(color="independent")


def _panel(name: str, group: Frame) -> Any:
    shown = group[group["learning_rate"].isin(_shown_rates(group))].sort_values("learning_rate")
    named = shown["learning_rate"].map("{:.3g}".format)
    rates = list(dict.fromkeys(named))
    numbers = shown[SHOWN].map(lambda value: float(f"{value:.4g}"))  # as many digits as are seen
    shown = numbers.assign(rate=named).sort_values("step", kind="stable")
    scale = alt.Scale(domain=rates, range=SERIES[: len(rates)])
    base = alt.Chart(shown).encode(
        x=alt.X("step:Q", title=None, axis=alt.Axis(tickCount=4)),
        color=alt.Color("rate:N", title="rate", scale=scale, legend=alt.Legend(symbolOpacity=1)),
    )
    tooltip = ["rate", "step", "train_loss", "sharpness", "ratio"]
    loss = base.mark_line(strokeWidth=1.5).encode(
        y=_log("train_loss:Q", "training loss"), tooltip=tooltip
    )
    sharpness = base.mark_line(strokeWidth=1.5).encode(
        y=_log("sharpness:Q", "sharpness"), tooltip=tooltip
    )
    limits = (
        alt.Chart(shown.drop_duplicates("rate"))
        .mark_rule(strokeDash=[5, 3])
        .encode(y="limit:Q", color=alt.Color("rate:N", scale=scale))
    )
    sharpness = sharpness.encode(x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4)))
    below = (sharpness + limits).properties(width=WIDTH, height=HEIGHT)
    title = _title(name)
    return alt.vconcat(loss.properties(width=WIDTH, height=HEIGHT, title=title), below, spacing=4)


def _shown_rates(group: Frame) -> list[float]:
    """Return the largest rate that doesn't diverge, and some below it, half a decade apart."""
    rates = np.sort(group.loc[~group["diverged"], "learning_rate"].unique())
    if not len(rates):
        return []
    wanted = rates[-1] / 10 ** (0.5 * np.arange(SHOWN_RATES))
    nearest = {float(rates[np.argmin(np.abs(np.log(rates / rate)))]) for rate in wanted}
    return sorted(nearest)


def _title(series: str) -> alt.TitleParams:
    return alt.TitleParams(series, fontSize=10)


def _log(field: str, title: str) -> Any:
    axis = alt.Axis(format="~g", tickCount=4)
    return alt.Y(field, scale=alt.Scale(type="log"), title=title, axis=axis)
