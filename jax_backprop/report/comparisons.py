"""The figure of each series against the control: a forest plot of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from jax_backprop.study.rows import Contrast, Frame

WIDTH = 300  # of one of the two panels
ROW = 22
LABELS = 300  # widest name of a series, in pixels
SIGNIFICANT = 0.05
BETTER, WORSE, UNDECIDED = "better", "worse", "not told apart"
COLORS = {BETTER: "#0072B2", WORSE: "#D55E00", UNDECIDED: "#777777"}
PANELS = (("test_loss", "test loss", -1), ("test_accuracy", "test accuracy", 1))


def forest(contrasts: Sequence[Contrast]) -> Any:
    """Return differences in test loss and accuracy, a row a series, with 95% intervals."""
    names = [each.series.series for each in contrasts]
    control = contrasts[0].control.series
    rows = _rows(contrasts)
    panels = []
    for measure, title, _ in PANELS:
        data = rows[rows["measure"] == measure]
        if data.empty:
            continue
        labels = alt.Axis(labelLimit=LABELS, ticks=False) if not panels else None
        y = alt.Y("series:N", title=None, sort=names, scale=alt.Scale(domain=names), axis=labels)
        x = alt.X("mean:Q", title=f"{title}, minus {control}", scale=alt.Scale(zero=True))
        color = alt.Color(
            "verdict:N",
            title="at p 0.05 (Holm)",
            scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
        )
        base = alt.Chart(data).encode(y=y, color=color)
        tooltip = ["series:N", *(alt.Tooltip(f"{n}:Q", format=".3g") for n in ("mean", "low"))]
        tooltip += [alt.Tooltip(f"{n}:Q", format=".3g") for n in ("high", "p", "adjusted p")]
        zero = (
            alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color="#999999").encode(x="zero:Q")
        )
        bounds = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5)
        points = base.mark_point(filled=True, size=50, opacity=1).encode(x=x, tooltip=tooltip)
        layers = alt.layer(zero, bounds.encode(x="low:Q", x2="high:Q"), points)
        panels.append(layers.properties(width=WIDTH, height=ROW * len(names)))
    return alt.hconcat(*panels, spacing=20)


def _rows(contrasts: Sequence[Contrast]) -> Frame:
    """Return what is drawn; an end that so few seeds don't bound is left out."""
    rows = []
    for each in contrasts:
        for measure, _, sign in PANELS:
            found = getattr(each, measure)
            if found is None or not np.isfinite(found.mean):
                continue
            is_better = sign * found.mean > 0
            verdict = BETTER if is_better else WORSE
            bounded = bool(np.isfinite([found.low, found.high]).all())
            rows.append(
                {
                    "series": each.series.series,
                    "measure": measure,
                    "mean": found.mean,
                    "low": found.low if bounded else None,
                    "high": found.high if bounded else None,
                    "p": found.p_value,
                    "adjusted p": found.adjusted_p,
                    "verdict": verdict if found.adjusted_p <= SIGNIFICANT else UNDECIDED,
                }
            )
    columns = ["series", "measure", "mean", "low", "high", "p", "adjusted p", "verdict"]
    return pd.DataFrame(rows, columns=pd.Index(columns))
