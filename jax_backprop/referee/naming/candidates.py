"""The catalogue: what is wrong in each equation's backward, as errors of cotangents.

A candidate says which equation's pullback went wrong, how, and by how much the cotangent at one
slot is off then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jax_backprop.referee.naming.alterations import LARGE, alterations
from jax_backprop.referee.naming.context import LIKE, Candidate, Context, New, alike
from jax_backprop.referee.naming.formulas import summed_to
from jax_backprop.referee.naming.heads import wrong_slopes
from jax_backprop.referee.naming.operations import ELEMENTWISE, of_operation

MISSING = {"select_n": "mask left out", "mul": "factor left out", "div": "divisor left out"}


def candidates(at: Context, below: int) -> Iterator[Candidate]:
    """Yield the catalogue for all equations before one, the last first."""
    for number in range(below - 1, -1, -1):
        yield from of_equation(at, number)


def of_equation(at: Context, number: int) -> Iterator[Candidate]:
    """Yield what can be wrong in one equation's pullback."""
    each = at.equation(number)
    if not each.source.own:
        return
    for place, slot in enumerate(each.inputs):
        part = at.back.contributions.get((number, place))
        if part is None:
            continue
        new = partial(_of_operand, number, place, slot, part)
        yield Candidate(number, place, "factor", 2, slot, lambda part=part: part, True)
        yield from _general(at, number, part, new)
        yield from of_operation(at, number, place, part, new)
    yield from _of_output(at, number)


def _of_operand(
    number: int,
    place: int,
    slot: int,
    right: np.ndarray,
    kind: str,
    rank: int,
    wrong: Callable[[], np.ndarray],
    anywhere: bool = False,
) -> Candidate:
    return Candidate(number, place, kind, rank, slot, lambda: wrong() - right, anywhere=anywhere)


def _general(at: Context, number: int, part: np.ndarray, new: New) -> Iterator[Candidate]:
    """Yield what can happen to any equation."""
    each = at.equation(number)
    arriving = at.back.cotangents.get(each.outputs[0])
    for text, change in alterations(part.shape):
        yield new(text, 5, partial(change, part))
    if arriving is None or len(each.outputs) > 1:
        return
    if each.name in ELEMENTWISE or arriving.shape == part.shape:
        text = MISSING.get(each.name, "derivative missing")
        yield new(text, 0, lambda: summed_to(arriving, part.shape))
    for slot in each.inputs:
        if (value := at.values[slot]).shape == part.shape and value.dtype.kind == "f":
            yield new("factor of its operand too many", 4, lambda value=value: part * value)
    if arriving.size == part.size and arriving.shape != part.shape:
        yield new("reshaped where it should be transposed", 4, lambda: arriving.reshape(part.shape))


def _of_output(at: Context, number: int) -> Iterator[Candidate]:
    """Yield what can be wrong in the sum over all uses of an equation's result."""
    for slot in at.equation(number).outputs:
        total = at.back.cotangents.get(slot)
        if total is None:
            continue
        uses = [key for key in at.passes.uses[slot] if key in at.back.contributions]

        new = partial(_at_output, number, slot)

        if len(uses) > 1:
            yield new("factor", 3, lambda total=total: total, True)
            for key in uses:
                own = at.back.contributions[key]
                lost = max(use[0] for use in uses if use != key)
                text = (
                    f"nothing flows back: of its operand's uses {at.equation(key[0])} alone counts"
                )
                yield Candidate(lost, -1, text, 1, slot, lambda own=own, t=total: own - t)
            for text, change in alterations(total.shape):
                yield new(text, 6, lambda change=change, t=total: change(t) - t)
        if total.size <= LARGE:
            yield from _beside(at, slot, total, new)
        if (head := at.passes.heads.get(slot)) is not None:
            first = min(use[0] for use in at.passes.uses[slot])
            for text, wrong in wrong_slopes(head, at.values[slot]):
                yield Candidate(first, -1, text, 3, slot, lambda wrong=wrong, t=total: wrong() - t)


def _at_output(
    number: int,
    slot: int,
    kind: str,
    rank: int,
    make: Callable[[], np.ndarray],
    scaled: bool = False,
) -> Candidate:
    return Candidate(number, -1, kind, rank, slot, make, scaled)


def _beside(at: Context, slot: int, total: np.ndarray, new: New) -> Iterator[Candidate]:
    """Yield an array's cotangent with a stretch of the chain rule, or a factor of it, left out."""
    numbers = at.passes.numbers
    for other in alike(at, slot):
        above = at.passes.base.cotangents.get(other)
        if above is not None:
            lowest = at.described(slot)
            text = f"derivative missing, and that of all down to {lowest}"
            yield Candidate(
                numbers.get(other, numbers[slot]), -1, text, 4, slot, lambda a=above: a - total
            )
    for other, value in _factors(at, slot, total):
        text = f"{at.described(other)} as a factor left out of a formula"
        yield new(text, 6, lambda value=value: total / value - total)
        text = f"{at.described(other)} as a divisor left out of a formula"
        yield new(text, 6, lambda value=value: total * value - total)


def _factors(at: Context, slot: int, total: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the arrays near one that are broadcast to its shape."""
    near = sorted(at.passes.numbers, key=lambda n: abs(n - slot))[:LIKE]
    for other in near:
        value = at.values[other]
        sizes = zip(value.shape, total.shape, strict=False)
        fits = value.ndim == total.ndim > 0 and value.size > 1 and other != slot
        if fits and all(mine in (1, whole) for mine, whole in sizes):
            yield other, value
