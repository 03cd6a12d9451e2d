"""What a search by successive halving dropped when, as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from jax_backprop.report.charts import Chart, data, log_axis, styled
from jax_backprop.report.palette import BLUE, GREY, ORANGE
from jax_backprop.study.halved import Halved

ENDED, BETWEEN, DROPPED = "to the longest", "dropped on the way", "dropped first"


def halving_rows(search: Halved) -> list[dict[str, Any]]:
    """Return a row a setting and length: its loss, and the longest run that it was given."""
    found = [(rung.length, row) for rung in search.rungs for row in rung.rows]
    last: dict[tuple[str, float], float] = {}
    for length, row in found:
        last[search.names[row.series], row.learning_rate] = length
    lengths = [rung.length for rung in search.rungs]
    ends = {lengths[0]: DROPPED, lengths[-1]: ENDED}
    rows = []
    for length, row in found:
        setting = (search.names[row.series], row.learning_rate)
        told = {"setting": setting[0], "learning_rate": row.learning_rate, "length": length}
        told |= {"of": f"{setting[0]} {row.learning_rate!r}", "loss": row.loss}
        rows.append(told | {"last": last[setting], "kept": ends.get(last[setting], BETWEEN)})
    return rows


def halving_chart(search: Halved, rows: Sequence[dict[str, Any]], title: str) -> Chart:
    """Return each setting's loss along the lengths that it was run for."""
    shown = [row for row in rows if np.isfinite(row["loss"]) and row["loss"] > 0]
    lengths = [rung.length for rung in search.rungs]
    axis = alt.Axis(values=lengths, format="~g", grid=False)
    scale = alt.Scale(type="log", nice=False, padding=20)
    told = alt.Scale(domain=[ENDED, BETWEEN, DROPPED], range=[BLUE, ORANGE, GREY])
    tips = ["setting:N", *(alt.Tooltip(f"{n}:Q", format=".3g") for n in ("learning_rate", "loss"))]
    base = alt.Chart(data(shown)).encode(
        x=alt.X("length:Q", title=search.axis, axis=axis, scale=scale),
        y=log_axis("loss:Q", title),
        color=alt.Color("kept:N", title=None, scale=told),
        detail="of:N",
    )
    points = base.mark_point(filled=True, size=40, opacity=0.8).encode(tooltip=tips)
    return styled(alt.layer(base.mark_line(opacity=0.5), points))
