"""Ties and kinks: where a loss has no gradient, and several answers are right.

Beside the point the loss is smooth, and a right formula is right there. At the point the judged
gradient has to be one that a mixture of those beside it could be: a subgradient.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls

from jax_backprop.referee.case import Arrays, Case, Values
from jax_backprop.referee.directions import difference, examine
from jax_backprop.referee.report import Complaint
from jax_backprop.referee.sizes import direction_in, leaf_size

SAMPLES = 8
BESIDE = 1e-4  # of a leaf's size: how far from the point
ELEMENTS = 8  # the elements that differ most, each on its own
ROUNDS = 4
NARROW = 1e-2  # relative: how far a gradient in less than float64 may be off
SAME = 1e-3  # relative: elements nearer than that don't differ
FAR = 0.05  # of the difference: how far from a mixture of subgradients a gradient may lie
EDGE = 0.02  # of the difference: how far outside a subgradient may lie


class Verdict(NamedTuple):
    """A leaf's verdict at a kink, and why."""

    verdict: str
    reason: str


class Beside(NamedTuple):
    """One point beside the judged one: the step there, both gradients, what they were at."""

    steps: Arrays
    hand: Arrays
    truth: Arrays


class Kink:
    """A case at a point where the loss is not smooth.

    Args:
      by_autodiff: autodiff's gradient is right beside the point; else the judged one is asked
        there, after differences have judged it.
    """

    def __init__(self, case: Case, values: Values, *, by_autodiff: bool, deadline: float) -> None:
        self.case, self.by_autodiff, self.deadline = case, by_autodiff, deadline
        self.offset = case.offset
        self.hand = values.best[self.offset :]
        self.locked = values.hand64 is None
        self.eps = float(jnp.finfo(case.loss.dtype).eps)
        truth = values.truth
        self.truth = None if truth is None or not by_autodiff else truth[self.offset :]

    def judge(self) -> list[Verdict]:
        """Return a verdict a leaf."""
        beside = [found for draw in range(SAMPLES) if (found := self._draw(draw)) is not None]
        if len(beside) < 2 or time.monotonic() > self.deadline:
            why = "a kink, and beside it the gradient can't be had"
            return [Verdict("undecided", why) for _ in self.case.leaves]
        if not self.by_autodiff:
            verdicts = [self._formula(number, beside) for number in range(len(self.case.leaves))]
            if any(each.verdict == "fail" for each in verdicts):
                return verdicts
        return self._choices(beside)

    def _draw(self, draw: int) -> Beside | None:
        return self._at(self.case.beside(BESIDE, self.case.draws([draw, 17])))

    def _at(self, steps: Arrays) -> Beside | None:
        leaves = self.case.moved(steps)
        try:
            hand = self.case.hand(leaves, wide=True)
            truth = self.case.truth(leaves) if self.by_autodiff else None
        except Exception:
            return None
        if isinstance(hand, Complaint):
            return None
        mine = [each.astype(np.float64) for each in hand[self.offset :]]
        theirs = mine if truth is None else truth[self.offset :]
        finite = all(np.isfinite(each).all() for each in (*mine, *theirs))
        return Beside(steps, mine, list(theirs)) if finite else None

    def _formula(self, number: int, beside: Sequence[Beside]) -> Verdict:
        """Judge the gradient where the loss is smooth."""
        wrong = "wrong beside the kink too"
        leaf, said = self.case.leaves[number], []
        for draw, each in enumerate(beside[:3]):
            direction = direction_in(leaf.array, (draw, number, 5))
            grad = float(np.vdot(each.hand[number], direction))
            slack = 1e-3 * float(np.linalg.norm(each.hand[number])) if self.locked else None
            line = self.case.line({number: direction}, self.case.moved(each.steps))
            found = examine(line, grad, leaf_size(leaf.array), slack=slack, eps=self.eps)
            said.append(found.differences)
        return Verdict("fail", wrong) if said.count("fail") > 1 else Verdict("pass", "")

    def _choices(self, beside: Sequence[Beside]) -> list[Verdict]:
        """Judge what the gradient chose at the point, leaf by leaf and all of them together."""
        centre = [np.mean(each, axis=0) for each in zip(*(b.truth for b in beside), strict=True)]
        if self.truth is not None:
            own = zip(self.truth, centre, strict=True)
            centre = [np.where(np.isfinite(at), at, mean) for at, mean in own]
        apart = [_difference(*pair) for pair in zip(self.hand, centre, strict=True)]
        verdicts = []
        for number, each in enumerate(apart):
            if not each.any():
                verdicts.append(Verdict("pass", ""))
                continue
            alone = [np.zeros_like(other) for other in apart]
            alone[number] = each
            inside = self._is_inside(alone, beside) and all(
                self._is_inside(element, beside) for element in _largest(alone, number)
            )
            verdicts.append(
                Verdict("pass", "a subgradient: the loss has a kink here")
                if inside
                else Verdict("fail", "no subgradient of the kink that the loss has here")
            )
        several = sum(bool(each.any()) for each in apart) > 1
        passed = all(each.verdict == "pass" for each in verdicts)
        inside = not (several and passed) or self._is_inside(apart, beside)
        if not passed or (inside and not self._is_parted(apart, beside)):
            return verdicts
        why = "together no subgradient of the kink that the loss has here"
        return [
            Verdict("fail", why) if each.any() else verdict
            for each, verdict in zip(apart, verdicts, strict=True)
        ]

    def _is_parted(self, apart: Arrays, beside: Sequence[Beside]) -> bool:
        """Say if a direction parts the judged gradient from all that the loss has beside.

        The nearest mixture of those that were seen gives the direction, and what the loss has along
        it is seen as well: so a gradient outside, in whichever direction, is found.
        """
        seen = list(beside)
        for _ in range(ROUNDS):
            gaps = [[h - t for h, t in zip(self.hand, b.truth, strict=True)] for b in seen]
            shares = _nearest(np.array([[_dot(one, two) for two in gaps] for one in gaps]))
            left = [
                sum((share * gap for share, gap in zip(shares, each, strict=True)), np.zeros(()))
                for each in zip(*gaps, strict=True)
            ]
            if _norm(left) <= FAR * _norm(apart):
                return False
            if not self._is_inside(left, seen):
                return True
            ends = [self._along(left, sign) for sign in (1.0, -1.0)]
            seen += [each for each in ends if each is not None]
        return False

    def _along(self, direction: Arrays, sign: float) -> Beside | None:
        """Look beside the point in one direction."""
        scale = sign / max(float(np.abs(each).max(initial=0)) for each in direction)
        return self._at(self.case.beside(BESIDE * scale, direction))

    def _is_inside(self, apart: Arrays, beside: Sequence[Beside]) -> bool:
        """Say if the judged gradient's derivative along a direction is one that the loss has."""
        length = _norm(apart)
        value, size = _dot(apart, self.hand), max(_norm(each.truth) for each in beside)
        slack = EDGE * length**2 + 1e-4 * length * size + (NARROW * length * size) * self.locked
        seen = [_dot(apart, each.truth) for each in beside]
        if min(seen) - slack <= value <= max(seen) + slack:
            return True
        unit = {n: each / length for n, each in enumerate(apart)}
        largest = max(leaf_size(leaf.array) for leaf in self.case.leaves)
        found = difference(self.case.line(unit), largest, self.eps)
        sides = [found.left * length, found.right * length]
        bounds = [*seen, *(each for each in sides if np.isfinite(each))]
        if min(bounds) - slack <= value <= max(bounds) + slack:
            return True
        for sign in (1.0, -1.0):
            bounds += self._reached(apart, beside, sign)
        return bool(min(bounds) - slack <= value <= max(bounds) + slack)

    def _reached(self, apart: Arrays, beside: Sequence[Beside], sign: float) -> list[float]:
        """Return derivatives along ``apart`` beside the point, the sides chosen to reach the value.

        Where an element's derivative falls as the element grows, its other side is taken.
        """
        signs = []
        for number, each in enumerate(apart):
            steps = np.stack([b.steps[number] for b in beside])
            grads = np.stack([b.truth[number] for b in beside])
            bend = ((grads - grads.mean(axis=0)) * steps).sum(axis=0)
            signs.append(np.where(bend < 0, -1.0, 1.0) * sign * each)
        found = []
        for _ in range(ROUNDS):
            at = self._along(signs, 1.0)
            if at is None:
                break
            found.append(_dot(apart, at.truth))
            # An element that is still not what is judged may have its side elsewhere.
            signs = [
                np.where(np.abs(truth - hand) > SAME * np.abs(w), -each, each)
                for each, truth, hand, w in zip(signs, at.truth, self.hand, apart, strict=True)
            ]
        return found


def jumps(case: Case, values: Values) -> bool:
    """Say if autodiff's gradient changes beside the point by what doesn't shrink with the step."""
    assert values.truth is not None
    draws, offset = case.draws(23), case.offset
    changes = []
    for share in (BESIDE, BESIDE / 64):
        found = case.truth(case.moved(case.beside(share, draws)))
        assert found is not None
        pairs = zip(found[offset:], values.truth[offset:], strict=True)
        changes.append([np.abs(a - b) for a, b in pairs])
    sizes = [float(np.abs(each).max(initial=0)) for each in values.truth[offset:]]
    return any(
        bool(np.any(~np.isfinite(near) | ((near > 0.2 * far) & (near > 1e-6 * size))))
        for far, near, size in zip(*changes, sizes, strict=True)
    )


def _difference(hand: np.ndarray, centre: np.ndarray) -> np.ndarray:
    sizes = np.maximum(np.abs(hand), np.abs(centre))
    limit = SAME * np.maximum(sizes, SAME * sizes.max(initial=0))
    return np.where(np.abs(hand - centre) > limit, hand - centre, 0.0)


def _largest(alone: Arrays, number: int) -> list[Arrays]:
    """Return the elements that differ most, each in a direction of its own."""
    each, found = alone[number], []
    for flat in np.argsort(np.abs(each), axis=None)[::-1][:ELEMENTS]:
        if each.flat[flat] == 0:
            break
        element = [np.zeros_like(other) for other in alone]
        element[number].flat[flat] = each.flat[flat]
        found.append(element)
    return found


def _nearest(products: np.ndarray) -> np.ndarray:
    """Return the shares of the mixture nearest to 0, of vectors by their products."""
    sizes, vectors = np.linalg.eigh(products)
    rows = np.sqrt(np.maximum(sizes, 0))[:, None] * vectors.T
    heavy = 1e3 * np.abs(rows).max()
    wanted = np.append(np.zeros(len(rows)), heavy)
    shares, _ = nnls(np.vstack([rows, np.full(len(rows), heavy)]), wanted)
    return shares / shares.sum()


def _norm(arrays: Arrays) -> float:
    return float(np.sqrt(sum(float(np.vdot(each, each)) for each in arrays)))


def _dot(first: Arrays, second: Arrays) -> float:
    return float(sum(float(np.vdot(a, b)) for a, b in zip(first, second, strict=True)))
