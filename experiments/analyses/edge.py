"""Where runs come to the edge of stability: `make edge` writes its table and its pictures.

The limit is 2 / rate for gradient descent, (2 + 2 b) / rate for heavy ball and
(2 + 2 b) / ((1 + 2 b) rate) for Nesterov with momentum b. A run is at the edge at a horizon if, in
its second half, at least half of the measured sharpnesses lie within 0.8 to 1.25 of the limit and
the loss has ended below its start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from jax_backprop.report.drawing import write_chart
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.edge import STATES, by_rate, states
from jax_backprop.study.rows import Frame
from jax_backprop.study.sharpness import along_training

HORIZONS = (100, 200, 500, 1000)  # steps
STATE_COLORS = ["#56B4E9", "#009E73", "#E69F00", "#BBBBBB", "#D55E00"]


def write_edge(folder: Path) -> Frame:
    """Write edge.json and edge_map (.svg, .png) into a study's folder; return the table."""
    table = by_rate(states(along_training(summarize(folder)), HORIZONS))
    write_atomic(folder / "edge.json", json.dumps(table.to_dict("records"), indent=1) + "\n")
    write_chart(folder, "edge_map", state_map(table).to_dict())
    return table


def where_at_edge(table: Frame) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows: by series and horizon, how many rates were at the edge, and which.

    In brackets the lowest and highest of them in units of 2/sharpness at the start.
    """
    horizons = sorted(table["horizon"].unique())
    rows = []
    for name, group in table.groupby("title", sort=False):
        told = [_told(group[group["horizon"] == horizon]) for horizon in horizons]
        rows.append([str(name), *told])
    return ["", *(f"by step {horizon:,}" for horizon in horizons)], rows


def _told(rows: Frame) -> str:
    at = rows[rows["state"] == "edge"].sort_values("times")
    if at.empty:
        return f"0 of {len(rows)}"
    ends = dict.fromkeys(f"{times:.2g}" for times in at["times"].iloc[[0, -1]])
    return f"{len(at)} of {len(rows)} ({' to '.join(ends)})"


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
        title = alt.TitleParams(name, fontSize=10)
        panels.append(chart.properties(width=240, height=90, title=title))
    return alt.concat(*panels, columns=3)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        write_edge(Path(each))
