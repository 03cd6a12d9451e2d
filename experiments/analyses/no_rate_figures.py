"""What leaving the learning rate out costs, and where one fixed rate survives, as two pictures.

`make no-rate` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from no_rate import TUNED, sentences, summarize_no_rate

from jax_backprop.report.drawing import write_chart
from jax_backprop.report.palette import SERIES
from jax_backprop.storage import write_atomic
from jax_backprop.study import summarize
from jax_backprop.study.rows import Frame

WORST = 1e5  # where the axis of costs ends
STATES = {"near": "#009E73", "survives": "#56B4E9", "poor": "#E69F00", "diverged": "#D55E00"}


def write_no_rate(folder: Path) -> tuple[Frame, list[str]]:
    """Write no_rate.json, no_rate and fixed_rates (.svg, .png) into a study's folder.

    Returns the table of costs, and what it says in sentences.
    """
    found, survived = summarize_no_rate(summarize(folder))
    tables = {"costs": found, "survival": survived}
    rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
    write_atomic(folder / "no_rate.json", json.dumps(rows, indent=1) + "\n")
    charts = {"no_rate": cost_strip(found), "fixed_rates": survival_map(survived)}
    for name, chart in charts.items():
        write_chart(folder, name, chart.to_dict())
    return found, sentences(found, survived)


def cost_strip(found: Frame) -> Any:
    """Return the loss of each method in times of the tuned rate's, a point a setting."""
    shown = found[(found["method"] != TUNED) & np.isfinite(found["times"])]
    settings = list(dict.fromkeys(shown["setting"]))
    points = (
        alt.Chart(shown)
        .mark_point(filled=True, size=60)
        .encode(
            x=alt.X(
                "times:Q",
                scale=alt.Scale(type="log", domain=[0.8, WORST], clamp=True),
                axis=alt.Axis(format="~g", values=[10.0**decade for decade in range(6)]),
                title=f"validation loss, in times of the tuned rate's (at most {WORST:,.0f} shown)",
            ),
            y=alt.Y("method:N", sort=list(dict.fromkeys(shown["method"])), title=None),
            color=alt.Color(
                "setting:N",
                title="setting",
                scale=alt.Scale(domain=settings, range=[*SERIES, "#8c510a", "#01665e"]),
            ),
            tooltip=["setting", "method", "times", "diverged", "seeds", "difference", "p_value"],
        )
    )
    rule = alt.Chart().mark_rule(strokeDash=[4, 4], color="#666666").encode(x=alt.datum(1.0))
    return alt.layer(rule, points).properties(width=460, height=260)


def survival_map(survived: Frame) -> Any:
    """Return how each fixed rate does in each setting."""
    rates = np.sort(survived["learning_rate"].unique())
    half = float(np.median(rates[1:] / rates[:-1])) ** 0.5
    data = survived.assign(
        left=survived["learning_rate"] / half, right=survived["learning_rate"] * half
    )
    scale = alt.Scale(domain=list(STATES), range=list(STATES.values()))
    return (
        alt.Chart(data)
        .mark_rect(stroke="white")
        .encode(
            x=alt.X(
                "left:Q",
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(format="~g", values=[10.0**decade for decade in range(-6, 7)]),
                title="learning rate on the mean loss",
            ),
            x2="right:Q",
            y=alt.Y("setting:N", sort=list(dict.fromkeys(survived["setting"])), title=None),
            color=alt.Color("state:N", title=None, scale=scale),
            tooltip=["setting", "learning_rate", "times", "state"],
        )
        .properties(width=460, height=260)
    )


if __name__ == "__main__":
    for each in sys.argv[1:]:
        write_no_rate(Path(each))
