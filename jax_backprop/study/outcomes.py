"""How each run went, drawn from the stored facts when reading."""

from __future__ import annotations

import numpy as np

from jax_backprop.study.rows import Frame
from jax_backprop.study.runs import run_keys

OUTCOMES = ("monotone", "edge", "slow", "degraded", "diverged")
RISE = 1e-6  # relative to the loss at the start
FAR = 10.0  # times the best tail of the same series and seed
NOTHING_LEARNED = 0.9  # of the loss at the start


def classify(cells: Frame) -> Frame:
    """Return the cells with ``outcome`` and ``nothing_learned``, which speak of training loss.

    The first that holds: **diverged**, a loss that isn't finite or a tail above the start; then,
    with a tail over 10 times the best of the cells that differ only in rate, **degraded** if the
    loss ever rose, else **slow**; else **edge** if it rose, else **monotone**. A group whose best
    tail is over 0.9 of the start is "nothing learned".
    """
    group = cells.groupby(["series", *run_keys(cells)])["tail_loss"]
    best = group.transform(lambda tail: np.fmin.reduce(tail.to_numpy()))
    rose = cells["rises"] > 0
    far = cells["tail_loss"] > FAR * best
    outcome = np.select(
        [has_diverged(cells), far & rose, far, rose],
        ["diverged", "degraded", "slow", "edge"],
        default="monotone",
    )
    return cells.assign(
        outcome=outcome, nothing_learned=best > NOTHING_LEARNED * cells["loss_at_start"]
    )


def has_diverged(cells: Frame) -> Frame:
    """Return which cells ended above their start, or met a loss that isn't finite."""
    return (
        cells["non_finite"]
        | ~np.isfinite(cells["tail_loss"])
        | (cells["tail_loss"] > (1 + RISE) * cells["loss_at_start"])
    )
