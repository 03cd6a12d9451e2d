"""Asking the loss itself: along random directions in every leaf, and inside those that fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jax_backprop.referee import elements
from jax_backprop.referee.directions import (
    DIRECTIONS,
    Directional,
    examine,
    leaf_size,
    unit_direction,
)
from jax_backprop.referee.evaluation import Case, Values, line
from jax_backprop.referee.judge import FACTOR, GATE, allowed_error
from jax_backprop.referee.report import LeafReport
from jax_backprop.referee.subject import Leaf

OnProgress = Callable[[int, int, str], None]


def examine_directions(
    case: Case, values: Values, seed: int, deadline: float, on_progress: OnProgress | None = None
) -> list[list[Directional]]:
    """Examine seeded directions within each leaf, every leaf's first before any leaf's second."""
    found: list[list[Directional]] = [[] for _ in case.leaves]
    if case.loss_traits.locked:
        return found
    for draw in range(DIRECTIONS):
        for number, leaf in enumerate(case.leaves):
            late = draw > 0 and time.monotonic() > deadline
            if late or not np.size(leaf.value):
                continue
            direction = unit_direction(np.shape(leaf.value), (seed + draw, leaf.position))
            grad, slack = judged_gradient(case, values, number)
            found[number].append(
                examine(
                    line(case, leaf.position, direction),
                    float(np.vdot(grad, direction)),
                    leaf_size(leaf.array),
                    slack=slack,
                )
            )
            if on_progress is not None:
                done = draw * len(case.leaves) + number + 1
                on_progress(done, DIRECTIONS * len(case.leaves), leaf.path)
    return found


def judged_gradient(case: Case, values: Values, number: int) -> tuple[np.ndarray, float | None]:
    """Return a leaf's gradient in float64, and how far off it may be if it is a narrower one."""
    at = number + (1 if case.has_value else 0)
    if values.hand64 is not None:
        return np.asarray(values.hand64[at]).astype(np.float64), None
    hand = np.asarray(values.hand[at])
    eps = 2.0 ** -_mantissa_bits(hand.dtype)
    grad = hand.astype(np.float64)
    share = eps**0.5
    if values.truth is not None and values.autodiff is not None:
        truth = np.asarray(values.truth[at])
        share = GATE * eps + FACTOR * _relative(np.asarray(values.autodiff[at]), truth)
    return grad, share * float(np.linalg.norm(grad))


def _relative(array: np.ndarray, truth: np.ndarray) -> float:
    size = float(np.linalg.norm(truth))
    gap = float(np.linalg.norm(array.astype(np.float64) - truth))
    return gap / size if size > 0 else 0.0


def _mantissa_bits(dtype: np.dtype[Any]) -> int:
    return int(jnp.finfo(dtype).nmant)


def look_inside(
    case: Case, values: Values, rows: list[LeafReport], deadline: float
) -> tuple[list[LeafReport], dict[int, np.ndarray]]:
    """Look at a failing leaf's elements; where all that differ lie at kinks nothing is decided.

    Returns the rows, and the gradients by differences of leaves in which autodiff can't be asked.
    """
    offset, estimates = (1 if case.has_value else 0), {}
    looked = list(rows)
    for number, leaf in enumerate(case.leaves):
        row = rows[number + offset]
        if row.verdict != "fail" or case.loss_traits.locked:
            continue
        if values.truth is not None:
            looked[number + offset] = _with_truth(case, values, number, row)
            continue
        hand, _ = judged_gradient(case, values, number)
        located = elements.bisect(
            _lines(case, leaf), hand, leaf_size(leaf.array), deadline=deadline
        )
        looked[number + offset] = row._replace(elements=located.elements[: elements.SHOWN])
        if located.estimate is not None:
            estimates[number] = located.estimate
        elif located.finished and located.elements:
            estimates[number] = _patched(hand, located)
    return looked, estimates


def _with_truth(case: Case, values: Values, number: int, row: LeafReport) -> LeafReport:
    leaf, at = case.leaves[number], number + (1 if case.has_value else 0)
    assert values.truth is not None
    truth = np.asarray(values.truth[at])
    hand, _ = judged_gradient(case, values, number)
    size = leaf_size(leaf.array)
    if row.directional.kink:
        allowed = allowed_error(row) * float(np.abs(truth).max(initial=0))
        if elements.all_at_kinks(_lines(case, leaf), hand, truth, allowed, size):
            return row._replace(verdict="undecided", reason="a kink at each element that differs")
    return row._replace(elements=elements.worst_elements(_lines(case, leaf), hand, truth, size))


def _lines(case: Case, leaf: Leaf) -> elements.MakeLine:
    return lambda direction: line(case, leaf.position, direction)


def _patched(hand: np.ndarray, located: elements.Located) -> np.ndarray:
    """Return the gradient with the wrong elements that were found replaced by differences."""
    mended = hand.copy()
    for element in located.elements:
        mended[element.at] = element.difference
    return mended
