"""Whether autodiff's gradient is the loss's derivative, asked of the loss itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.case import Case, Values
from jax_backprop.referee.comparison import allowed_error, apart_by_constants
from jax_backprop.referee.directions import Directional, difference, examine
from jax_backprop.referee.sizes import TINY_LEAF, direction_in, leaf_size, near_size, own_size

RELATIVE = 1e-6
DRAWS = 2


def gives_differences(
    case: Case, at: Sequence[Any], truth: Sequence[np.ndarray], seed: int, loss: Any = None
) -> bool:
    """Say if the loss's differences along directions over all leaves at once are autodiff's."""
    grads = truth[case.offset :]
    if not all(np.isfinite(each).all() for each in grads):
        return False
    eps = float(jnp.finfo(case.loss.dtype).eps)
    for draw in range(DRAWS):
        # The steps' scale is each leaf's own.
        sizes = [near_size(leaf.array) for leaf in case.leaves]
        directions = {
            number: np.asarray(
                direction_in(leaf.array, (seed, draw, number)) * sizes[number] / max(sizes)
            )
            for number, leaf in enumerate(case.leaves)
        }
        products = [float(np.vdot(grads[n], each)) for n, each in directions.items()]
        line, expected = case.line(directions, at, loss), sum(products)
        found = difference(line, max(sizes), eps)
        scale = max(abs(found.value), abs(expected))
        allowed = found.tolerance + max(RELATIVE, 10 * eps**0.5) * sum(map(abs, products))
        if abs(found.value - expected) <= allowed <= 0.1 * max(scale, found.tolerance):
            continue
        judged = examine(line, expected, max(sizes), eps=eps, slack=RELATIVE * scale)
        if judged.margin > 1 or not np.isfinite(judged.margin):
            return False
    return True


def look_along(case: Case, values: Values, number: int, draw: int, loss: Any = None) -> Directional:
    """Examine the judged gradient of one leaf along one seeded direction."""
    leaf, at = case.leaves[number], number + case.offset
    grad = values.best[at]
    size = leaf_size(leaf.array)
    direction = direction_in(
        leaf.array, (case.options.seed + draw, leaf.position), even=draw % 2 == 1
    )
    slack = uncertainty(case, values, at)
    eps = float(jnp.finfo(case.loss.dtype).eps)
    line = case.line({number: direction}, loss=loss)
    product = float(np.vdot(grad, direction))
    found = examine(line, product, size, slack=slack, eps=eps, rtol=case.rtol)
    own = own_size(leaf.array)
    unseen = found.differences == "-" and own < 0.1 * size
    if own > 0 and (unseen or own < TINY_LEAF):
        nearer = examine(line, product, own, slack=slack, eps=eps, rtol=case.rtol)
        found = found if nearer.differences == "-" else nearer
    return found


def uncertainty(case: Case, values: Values, at: int) -> float | None:
    """Return by how much a gradient in less than float64 may be off along a direction."""
    hand = values.hand[at]
    eps = float(jnp.finfo(hand.dtype).eps)
    noise = (values.noise[at] if values.noise else 0.0) * float(np.linalg.norm(hand))
    autodiff = case.autodiff
    narrow = not case.gradient.traceable and autodiff is not None and autodiff.computes != "float64"
    narrow |= _parted_by_rounded_constants(case, values, at)
    if values.hand64 is not None and not narrow:
        return noise or None
    if values.truth is not None and np.isfinite(values.truth[at]).all():
        return allowed_error(case, values, at) + noise
    return eps**0.5 * float(np.linalg.norm(hand.astype(np.float64))) + noise


def _parted_by_rounded_constants(case: Case, values: Values, at: int) -> bool:
    """Say if constants that stay rounded in the one program may part it from the other."""
    if not apart_by_constants(case) or values.truth is None or values.hand64 is None:
        return False
    gap = float(np.linalg.norm(values.hand64[at] - values.truth[at]))
    return gap <= allowed_error(case, values, at)
