"""Sharpness along training beside the limit of the quadratic model.

On a quadratic loss gradient descent with a rate diverges along every direction whose curvature
exceeds 2 / rate; with momentum b the limit is (2 + 2 b) / rate (heavy ball) or
(2 + 2 b) / ((1 + 2 b) rate) (Nesterov). Cohen et al. (2021) saw the sharpness of networks rise to
that limit and hover there, while the loss went on falling, if not monotonically: the edge of
stability.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.settings import Optimizer
from jax_backprop.study.outcomes import has_diverged
from jax_backprop.study.rows import Frame
from jax_backprop.study.summary import Summary


def limit_times_rate(optimizer: Optimizer) -> float | None:
    """Return the largest stable curvature times the rate; None where no such form is known.

    Adam's limit is on its preconditioned sharpness, which isn't measured here. Clipping and decays
    change it, too.
    """
    if {"weight_decay", "independent_decay", "clip_norm"} & optimizer.given.keys():
        return None
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

    Beside them the cell's series, its ``title`` (the series' label), seed, learning_rate,
    ``times`` (the rate in units of 2/sharpness at the start) and ``limit``.
    Raises InputError if the study didn't measure the sharpness.
    """
    if summary.curves is None or "sharpness" not in summary.curves:
        raise InputError(
            "study",
            got="results without the sharpness along training",
            expected="a study with sharpness_iterations and curves",
            remedy="Add sharpness_iterations = 15, say, and run it into a folder of its own.",
        )
    cells = summary.cells.assign(
        limit=_limits(summary) / summary.cells["learning_rate"],
        times=summary.cells["learning_rate"] * summary.cells["sharpness_at_start"] / 2,
        diverged=has_diverged(summary.cells),
        title=summary.cells["series"].map(summary.labels().of),
    )
    names = ["cell", "series", "title", "seed", "learning_rate", "limit", "times", "loss_at_start"]
    points = summary.curves.astype({"cell": str}).merge(cells[[*names, "diverged"]], on="cell")
    return points.assign(ratio=points["sharpness"] / points["limit"])


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
