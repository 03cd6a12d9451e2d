"""Where the forward pass that a judged gradient recomputes leaves the loss's own.

A gradient by hand computes most of the loss's arrays again. From a mistake on none of them comes
out, and no cotangent either, so that no wrong pullback explains the error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jax_backprop.referee.naming.equations import Equation, trace
from jax_backprop.referee.naming.facts import Facts
from jax_backprop.referee.naming.passes import Arrays, Passes

NEAR = 1e-9  # relative: two arrays that are the same but for rounding


class _Computed:
    """The arrays that a program computes, in whatever order of their elements."""

    def __init__(self, values: Arrays) -> None:
        self._rows: dict[int, list[np.ndarray]] = {}
        for value in values.values():
            if value.dtype.kind == "f" and value.size > 1 and np.isfinite(value).all():
                self._rows.setdefault(value.size, []).append(np.sort(value, axis=None))

    def __contains__(self, array: np.ndarray) -> bool:
        row = np.sort(np.asarray(array, np.float64), axis=None)
        enough = NEAR * np.abs(row).max(initial=0)
        return any(np.abs(row - other).max() <= enough for other in self._rows.get(row.size, ()))


def leaves_the_loss(passes: Passes, judged: Callable[..., object], facts: Facts) -> Equation | None:
    """Return the first equation whose value a judged gradient lacks, with all that follows from it.

    None where it has a right cotangent, so that its forward pass is right, or none of the loss's
    arrays.

    Args:
      passes: of the loss, its loops opened.
      judged: the gradient, as one number of the differentiated arrays.
      facts: the point.
    """
    try:
        own = Passes(trace(judged, facts.params, opened=True), facts.params).values
    except (TypeError, ValueError, NotImplementedError):
        return None
    computed, right = _Computed(own), passes.base.cotangents
    made = {n for n in passes.active if n in passes.numbers and passes.values[n].size > 1}
    there = {slot for slot in made if passes.values[slot] in computed}
    # The cotangent of a plain sum is the same everywhere, and says nothing.
    telling = (right[slot] for slot in made if slot in right and np.ptp(right[slot]) > 0)
    if not there or any(cotangent in computed for cotangent in telling):
        return None
    known = _with_ancestors(passes, there)
    for each in passes.program.equations:
        gone = made & set(each.outputs) and not known & set(each.outputs)
        if gone and each.source.own and made & set(each.inputs) <= known:
            return each
    return None


def _with_ancestors(passes: Passes, slots: set[int]) -> set[int]:
    """Return some arrays and all that they are made of."""
    found = set(slots)
    for each in reversed(passes.program.equations):
        if found & set(each.outputs):
            found |= set(each.inputs)
    return found
