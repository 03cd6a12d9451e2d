"""Where runs come to the edge of stability: `make edge` writes its table and its pictures.

The limit is 2 / rate for gradient descent, (2 + 2 b) / rate for heavy ball and
(2 + 2 b) / ((1 + 2 b) rate) for Nesterov with momentum b. A run is at the edge at a horizon if, in
its second half, at least half of the measured sharpnesses lie within 0.8 to 1.25 of the limit and
the loss has ended below its start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from jax_backprop.report.drawing import write_chart
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.outcomes import NOTHING_LEARNED
from jax_backprop.study.rows import Frame
from jax_backprop.study.sharpness import along_training

NEAR = (0.8, 1.25)  # of the limit: so near counts as at the edge
HORIZONS = (100, 200, 500, 1000)  # steps
STATES = ("below", "edge", "above", "nothing learned", "diverged")
STATE_COLORS = ["#56B4E9", "#009E73", "#E69F00", "#BBBBBB", "#D55E00"]


def write_edge(folder: Path) -> Frame:
    """Write edge.json and edge_map (.svg, .png) into a study's folder; return the table."""
    table = by_rate(states(along_training(summarize(folder))))
    write_atomic(folder / "edge.json", json.dumps(table.to_dict("records"), indent=1) + "\n")
    write_chart(folder, "edge_map", state_map(table).to_dict())
    return table


def states(points: Frame, horizons: Sequence[int] = HORIZONS) -> Frame:
    """Return how each run stands at each horizon: a row a run and horizon, with its ``state``.

    Looked at are the measurements of the horizon's second half. **diverged**: the last loss isn't
    finite or above the start; **nothing learned**: it is over 0.9 of the start; else **edge**: at
    least half of them lie within 0.8 to 1.25 of the limit; else **below** or **above** it, by their
    median ratio.
    """
    rows = []
    last = points["step"].max()
    for horizon in [h for h in horizons if h <= last]:
        late = points[(points["step"] > horizon / 2) & (points["step"] <= horizon)]
        for cell, run in late.groupby("cell", sort=False):
            rows.append({"cell": cell, "horizon": horizon, "state": _state(run)})
    keys = ["cell", "series", "title", "seed", "learning_rate", "times"]
    return pd.DataFrame(rows).merge(points[keys].drop_duplicates("cell"), on="cell")


def by_rate(found: Frame) -> Frame:
    """Return the commonest state over seeds: a row a series, rate and horizon.

    ``share`` is its share of the seeds; the first of ``STATES`` where two are as common.
    """
    keys = ["title", "series", "learning_rate", "horizon"]
    counts = found.groupby(keys, sort=False)["state"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=list(STATES), fill_value=0)
    times = found.groupby(keys, sort=False)["times"].median()
    share = counts.max(axis=1) / counts.sum(axis=1)
    return (
        pd.DataFrame({"state": counts.idxmax(axis=1), "share": share, "times": times})
        .reset_index()
        .sort_values(keys)
    )


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


def _state(run: Frame) -> str:
    end = run.iloc[-1]
    if not np.isfinite(end["train_loss"]) or end["train_loss"] > end["loss_at_start"]:
        return "diverged"
    if end["train_loss"] > NOTHING_LEARNED * end["loss_at_start"]:
        return "nothing learned"
    ratio = run["ratio"].to_numpy(np.float64)
    if np.mean((ratio >= NEAR[0]) & (ratio <= NEAR[1])) >= 0.5:
        return "edge"
    return "below" if np.median(ratio) < 1 else "above"


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
