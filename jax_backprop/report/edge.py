"""Loss and sharpness on one time axis, and the map of where the edge of stability occurs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from jax_backprop.report.charts import PALETTE
from jax_backprop.report.drawing import write_chart
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.edge import STATES, along_training, by_rate, states
from jax_backprop.study.frame import Frame

STATE_COLORS = ["#56B4E9", "#009E73", "#E69F00", "#BBBBBB", "#D55E00"]
SHOWN_RATES = 4  # a panel: the largest that don't diverge, half a decade apart
WIDTH, HEIGHT = 210, 130


def write_edge(folder: Path) -> tuple[Frame, list[Path]]:
    """Write edge.json, edge_time and edge_map (.svg, .png) into a study's folder.

    Returns the table of states and the paths.
    """
    points = along_training(summarize(folder))
    table = by_rate(states(points))
    paths = [folder / "edge.json"]
    write_atomic(paths[0], json.dumps(table.to_dict(orient="records"), indent=1) + "\n")
    for name, chart in {"edge_time": time_axis(points), "edge_map": state_map(table)}.items():
        paths += write_chart(folder, name, chart.to_dict())
    return table, paths


def time_axis(points: Frame) -> Any:
    """Return, for each series, loss over sharpness against the step, at a few rates of one seed."""
    first = points[points["seed"] == points["seed"].min()]
    panels = [_panel(name, group) for name, group in first.groupby("title", sort=False)]
    return alt.concat(*panels, columns=3).resolve_scale(color="independent")


def _panel(name: str, group: Frame) -> Any:
    shown = group[group["learning_rate"].isin(_shown_rates(group))]
    shown = shown.assign(rate=shown["learning_rate"].map("{:.3g}".format))
    rates = list(dict.fromkeys(shown.sort_values("learning_rate")["rate"]))
    base = alt.Chart(shown).encode(
        x=alt.X("step:Q", title=None, axis=alt.Axis(tickCount=4)),
        color=alt.Color(
            "rate:N",
            title="rate",
            scale=alt.Scale(domain=rates, range=PALETTE[: len(rates)]),
            legend=alt.Legend(symbolOpacity=1),
        ),
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
        .encode(
            y="limit:Q", color=alt.Color("rate:N", scale=alt.Scale(domain=rates, range=PALETTE))
        )
    )
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


def state_map(table: Frame) -> Any:
    """Return the state at each horizon against the rate in units of 2/sharpness(start)."""
    color = alt.Color(
        "state:N",
        title="sharpness beside its limit",
        scale=alt.Scale(domain=list(STATES), range=STATE_COLORS),
    )
    panels = []
    for name, group in table.groupby("title", sort=False):
        rates = np.sort(group["times"].unique())
        half = float(np.median(rates[1:] / rates[:-1])) ** 0.5 if len(rates) > 1 else 1.5
        data = group.assign(left=group["times"] / half, right=group["times"] * half)
        scale = alt.Scale(type="log", nice=False)
        axis = alt.Axis(format="~g", values=[10.0**decade for decade in range(-4, 5)])
        chart = (
            alt.Chart(data)
            .mark_rect(stroke="white", strokeWidth=0.5)
            .encode(
                x=alt.X("left:Q", scale=scale, axis=axis, title="rate x sharpness(start) / 2"),
                x2="right:Q",
                y=alt.Y("horizon:O", title="steps", sort="descending"),
                color=color,
                opacity=alt.Opacity(
                    "share:Q", scale=alt.Scale(domain=[0.3, 1], range=[0.4, 1]), legend=None
                ),
                tooltip=["learning_rate", "times", "horizon", "state", "share"],
            )
        )
        title = _title(name)
        panels.append(chart.properties(width=WIDTH + 30, height=90, title=title))
    return alt.concat(*panels, columns=3)


def _title(series: str) -> alt.TitleParams:
    return alt.TitleParams(series, fontSize=10)


def _log(field: str, title: str) -> Any:
    axis = alt.Axis(format="~g", tickCount=4)
    return alt.Y(field, scale=alt.Scale(type="log"), title=title, axis=axis)
