"""Where runs come to the edge of stability: beside the limit of the quadratic model, or at it.

A run is at the edge at a horizon if, in its second half, at least half of the measured sharpnesses
lie within 0.8 to 1.25 of the limit and the loss has ended below its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jax_backprop.study.outcomes import NOTHING_LEARNED
from jax_backprop.study.questions import Asked
from jax_backprop.study.rows import Figure, Frame
from jax_backprop.study.sharpness import along_training
from jax_backprop.study.summary import Summary

NEAR = (0.8, 1.25)  # of the limit: so near counts as at the edge
BELOW, EDGE, ABOVE = "below", "edge", "above"
STATES = (BELOW, EDGE, ABOVE, "nothing learned", "diverged")


def is_about_edge(summary: Summary, found: Asked) -> bool:
    """Tell whether a study asks for this: several settings, and the sharpness along training."""
    measured = summary.curves is not None and "sharpness" in summary.curves
    searched = "resolution" in summary.study
    return measured and not found.about and not found.is_about_rates and not searched


def states(points: Frame, horizons: Sequence[int] = ()) -> Frame:
    """Return how each run stands at each horizon: a row a run and horizon, with its ``state``.

    Looked at are the measurements of the horizon's second half. **diverged**: the last loss isn't
    finite or above the start; **nothing learned**: it is over 0.9 of the start; else **edge**: at
    least half of them lie within 0.8 to 1.25 of the limit; else **below** or **above** it, by their
    median ratio.

    Args:
      points: as of ``along_training``.
      horizons: steps; the whole run, where none are given.
    """
    last = int(points["step"].max())
    rows = []
    for horizon in [h for h in horizons or [last] if h <= last]:
        late = points[(points["step"] > horizon / 2) & (points["step"] <= horizon)]
        for cell, run in late.groupby("cell", sort=False):
            rows.append({"cell": cell, "horizon": horizon, "state": _state(run)})
    keys = ["cell", "series", "title", "seed", "learning_rate", "times"]
    return pd.DataFrame(rows).merge(points[keys].drop_duplicates("cell"), on="cell")


def _state(run: Frame) -> str:
    end = run.iloc[-1]
    if not np.isfinite(end["train_loss"]) or end["train_loss"] > end["loss_at_start"]:
        return "diverged"
    if end["train_loss"] > NOTHING_LEARNED * end["loss_at_start"]:
        return "nothing learned"
    ratio = run["ratio"].to_numpy(np.float64)
    if np.mean((ratio >= NEAR[0]) & (ratio <= NEAR[1])) >= 0.5:
        return EDGE
    return BELOW if np.median(ratio) < 1 else ABOVE


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


class EdgeAnswer(NamedTuple):
    """Where the sharpness hovers at its limit at the end of training.

    Args:
      sentence, figures: of the first screen.
      line: the answer by series.
      table: as of ``by_rate``.
    """

    sentence: str
    figures: tuple[Figure, ...]
    line: str
    table: Frame


def edge_answer(summary: Summary) -> EdgeAnswer:
    """Return where the sharpness hovers at the limit of the quadratic model, by series and rate."""
    points = along_training(summary)
    table = by_rate(states(points[np.isfinite(points["limit"])]))
    at = table[table["state"] == EDGE].sort_values("times")
    several = f"{at['series'].nunique()} of {table['series'].nunique()} series"
    if at.empty:
        sentence = "At none of these rates does the sharpness come to hover at its limit."
    else:
        sentence = (
            f"In {several} the sharpness comes to hover at the limit, from a rate of "
            f"{at['times'].iloc[0]:.2g} times 2/sharpness at the start on."
        )
    counts = table["state"].value_counts()
    beyond = [f"{counts.get(name, 0)} {name}" for name in STATES[2:]]
    ends = (
        " to ".join(dict.fromkeys(f"{each:.2g}" for each in at["times"].iloc[[0, -1]]))
        if len(at)
        else "-"
    )
    figures = (
        Figure("At the edge", f"{len(at)} of {len(table)}", "rates, over all series"),
        Figure("These rates are", ends, "times 2/sharpness at the start of training"),
        Figure("Below it", f"{counts.get(BELOW, 0)}", f"other rates: {', '.join(beyond)}"),
    )
    by = {str(name): mine for name, mine in table.groupby("series", sort=False)}
    named = summary.labels().of
    told = [_of_series(named[name], by[name]) for name in summary.settings if name in by]
    return EdgeAnswer(sentence, figures, f"Rates at the edge, by series: {'; '.join(told)}.", table)


def _of_series(name: str, rows: Frame) -> str:
    at = rows[rows["state"] == EDGE]["learning_rate"]
    ends = dict.fromkeys(f"{rate:.3g}" for rate in (at.min(), at.max()) if len(at))
    return f"{name} {len(at)} of {len(rows)}" + (f" ({' to '.join(ends)})" if ends else "")
