"""The picture of the regret table: every draw of every rule, on one axis."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
from table import Judged

from jax_backprop.report.charts import WIDE
from jax_backprop.report.palette import SERIES

CAPTION = (
    "Validation loss at the recommended rate over that at the best rate of a dense sweep: a dot a "
    "draw (task and seed), the bar at the median; rules in the order of their medians. What is "
    "beyond 100 stands at 100."
)
MOST = 100


def chart(judged: list[Judged]) -> Any:
    """Return a strip of draws for each rule, on the frozen and on the open half."""
    frame = pd.DataFrame(
        {"rule": e.rule, "half": e.half, "task": e.task, "ratio": min(MOST, e.regret.ratio)}
        for e in judged
        if e.regret is not None and e.learnable
    )
    medians = frame.groupby("rule")["ratio"].median().to_dict()
    order = sorted(medians, key=lambda rule: medians[rule])
    rule = alt.Y("rule:N", sort=order, title=None, axis=alt.Axis(labelLimit=300))
    ratio = alt.X("ratio:Q", scale=alt.Scale(type="log"), title="times the best loss")
    base = alt.Chart(frame)
    dots = base.mark_circle(size=14, opacity=0.4, color=SERIES[0]).encode(
        x=ratio, y=rule, tooltip=["rule", "task", "ratio"]
    )
    bars = base.mark_tick(color=SERIES[1], thickness=2).encode(x="median(ratio):Q", y=rule)
    return (dots + bars).properties(width=WIDE // 2, height=16 * len(order)).facet("half:N")
