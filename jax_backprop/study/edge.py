"""Sharpness along training beside the limit of the quadratic model, and where it hovers there.

On a quadratic loss gradient descent with a rate diverges along every direction whose curvature
exceeds 2 / rate; with momentum b the limit is (2 + 2 b) / rate (heavy ball) or
(2 + 2 b) / ((1 + 2 b) rate) (Nesterov). Cohen et al. (2021) saw the sharpness of networks rise to
that limit and hover there, while the loss went on falling, if not monotonically: the edge of
stability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jax_backprop.errors import InputError
from jax_backprop.settings import Optimizer
from jax_backprop.study.frame import Frame
from jax_backprop.study.outcomes import NOTHING_LEARNED, has_diverged
from jax_backprop.study.series import value_text
from jax_backprop.study.summary import Summary

NEAR = (0.8, 1.25)  # of the limit: so near counts as at the edge
HORIZONS = (100, 200, 500, 1000)  # steps
STATES = ("below", "edge", "above", "nothing learned", "diverged")


def limit_times_rate(optimizer: Optimizer) -> float | None:
    """Return the largest stable curvature times the rate; None where no such form is known.

    Adam's limit is on its preconditioned sharpness, which isn't measured here.
    """
    b = optimizer.momentum or 0.0
    match optimizer.name:
        case "gradient_descent":
            return 2.0
        case "heavy_ball":
            return 2 + 2 * b
        case "nesterov":
            return (2 + 2 * b) / (1 + 2 * b)
        case _:
            return None


def along_training(summary: Summary) -> Frame:
    """Return a row a point of each run: step, train_loss, sharpness, ``ratio`` to the limit.

    Beside them the cell's series, its ``title`` (the series' values alone), seed, learning_rate,
    ``times`` (the rate in units of 2/sharpness at the start) and ``limit``.
    Raises InputError if the study didn't measure the sharpness.
    """
    if summary.curves is None or "sharpness" not in summary.curves:
        raise InputError(
            "study",
            got="results without the sharpness along training",
            expected="a study with sharpness_iterations and curves",
            remedy="Such as experiments/edge.toml; run it into a folder of its own.",
        )
    cells = summary.cells.assign(
        limit=_limits(summary) / summary.cells["learning_rate"],
        times=summary.cells["learning_rate"] * summary.cells["sharpness_at_start"] / 2,
        diverged=has_diverged(summary.cells),
        title=summary.cells["series"].map(_titles(summary)),
    )
    names = ["cell", "series", "title", "seed", "learning_rate", "limit", "times", "loss_at_start"]
    points = summary.curves.astype({"cell": str}).merge(cells[[*names, "diverged"]], on="cell")
    return points.assign(ratio=points["sharpness"] / points["limit"])


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


def _titles(summary: Summary) -> dict[str, str]:
    """Return each series' values without the names of their axes."""
    return {
        name: ", ".join(value_text(value).replace("_", " ") for value in given.values())
        for name, given in summary.settings.items()
    }


def _limits(summary: Summary) -> Any:
    """Return each cell's limit times its rate; NaN where none is known."""
    fixed = Optimizer.model_validate(summary.study.get("optimizer", {}))

    def of(given: Mapping[str, Any]) -> float:
        chosen = {"name": given.get("optimizer", fixed.name)}
        momentum = given.get("optimizer.momentum")
        if momentum is not None:
            chosen["momentum"] = momentum
        optimizer = fixed if chosen == {"name": fixed.name} else Optimizer.model_validate(chosen)
        return limit_times_rate(optimizer) or np.nan

    limits = {name: of(given) for name, given in summary.settings.items()}
    return summary.cells["series"].map(limits).to_numpy(np.float64)
