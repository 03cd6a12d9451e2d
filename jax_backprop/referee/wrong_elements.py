"""Inside a failing leaf: which elements are wrong, by bisection with central differences."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jax_backprop.referee.directions import Line, difference
from jax_backprop.referee.report import Element

SHOWN = 8  # the worst elements of a leaf that are reported
WHOLE_SHARE = 0.25  # so many of the blocks wrong: bisecting further costs more than every element

MakeLine = Callable[[np.ndarray], Line]  # from a direction of length 1 within the leaf


def along_element(make_line: MakeLine, shape: tuple[int, ...], index: tuple[int, ...]) -> Line:
    """Return the line along one element of a leaf."""
    direction = np.zeros(shape)
    direction[index] = 1.0
    return make_line(direction)


def worst_elements(
    make_line: MakeLine, hand: np.ndarray, truth: np.ndarray, size: float, *, deadline: float
) -> tuple[Element, ...]:
    """Return the elements that are farthest from a known truth, with differences in time."""
    gap = np.abs(hand - truth)
    found = []
    for flat in np.argsort(gap, axis=None)[::-1][:SHOWN]:
        index = tuple(int(axis) for axis in np.unravel_index(int(flat), gap.shape))
        if gap[index] == 0 or gap[index] < 1e-3 * gap.max():
            break
        beside = float("nan")
        if time.monotonic() < deadline:
            beside = difference(along_element(make_line, hand.shape, index), size).value
        found.append(Element(index, float(hand[index]), float(truth[index]), beside))
    return tuple(found)


class Located(NamedTuple):
    """What bisection found.

    Args:
      elements: wrong ones, the worst first.
      estimate: the leaf's gradient by differences where every element was measured, else None.
      finished: False where time ran out.
    """

    elements: tuple[Element, ...]
    estimate: np.ndarray | None
    finished: bool


def bisect(
    make_line: MakeLine,
    hand: np.ndarray,
    size: float,
    *,
    deadline: float,
    seed: int = 0,
    slack: float = 0.0,
) -> Located:
    """Find the wrong elements of a failing leaf without knowing the right ones.

    Halves of the leaf are asked by a random direction within each; those that agree are left, the
    others halved again. Where a quarter of the blocks fail, every element is measured instead.
    ``slack`` is the relative error that a gradient in less than float64 may have.
    """
    blocks = [np.arange(hand.size)]
    generator = np.random.default_rng(seed)
    while blocks and max(block.size for block in blocks) > 1:
        halves = [half for block in blocks for half in np.array_split(block, 2) if half.size]
        failing = []
        for half in halves:
            if time.monotonic() > deadline:
                return Located((), None, finished=False)
            if _block_fails(make_line, hand, half, size, generator, slack):
                failing.append(half)
        many = len(halves) >= 8 and len(failing) * max(map(len, halves)) > WHOLE_SHARE * hand.size
        blocks = failing
        if many:
            return _every_element(make_line, hand, size, deadline, slack)
    measured = [_element(make_line, hand, int(block[0]), size, slack) for block in blocks]
    wrong = [element for element, fails in measured if fails]
    return Located(_worst_first(wrong), None, finished=True)


def _block_fails(
    make_line: MakeLine,
    hand: np.ndarray,
    block: np.ndarray,
    size: float,
    generator: np.random.Generator,
    slack: float,
) -> bool:
    direction = np.zeros(hand.size)
    direction[block] = generator.normal(size=block.size)
    direction /= np.linalg.norm(direction)
    found = difference(make_line(direction.reshape(hand.shape)), size)
    allowed = found.tolerance + slack * float(np.linalg.norm(hand.ravel()[block]))
    return abs(found.value - float(direction @ hand.ravel())) > allowed


def _element(
    make_line: MakeLine, hand: np.ndarray, flat: int, size: float, slack: float
) -> tuple[Element, bool]:
    index = tuple(int(axis) for axis in np.unravel_index(flat, hand.shape))
    found = difference(along_element(make_line, hand.shape, index), size)
    allowed = found.tolerance + slack * abs(float(hand[index]))
    fails = abs(found.value - hand[index]) > allowed and not (
        found.kink and found.contains(float(hand[index]))
    )
    return Element(index, float(hand[index]), float("nan"), found.value), bool(fails)


def _every_element(
    make_line: MakeLine, hand: np.ndarray, size: float, deadline: float, slack: float
) -> Located:
    wrong, estimate = [], np.zeros(hand.size)
    for flat in range(hand.size):
        if time.monotonic() > deadline:
            return Located(_worst_first(wrong), None, finished=False)
        element, fails = _element(make_line, hand, flat, size, slack)
        estimate[flat] = element.difference
        if fails:
            wrong.append(element)
    return Located(_worst_first(wrong), estimate.reshape(hand.shape), finished=True)


def _worst_first(wrong: list[Element]) -> tuple[Element, ...]:
    order = sorted(wrong, key=lambda each: -abs(each.hand - each.difference))
    return tuple(order)
