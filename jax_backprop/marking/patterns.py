"""What is told from a wrong array alone, beside the right one: no equation of its own is needed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jax_backprop.marking.network import At

ROUNDING = 1e-13  # of the right value: numbers below it are none
SHARE = 1e-6  # of the largest, below which an example doesn't enter
MOST_SOLVED = 64  # examples whose shares of a sum are asked for
LEAST = 3  # elements: of fewer, any number is some factor of any other


class Pattern(NamedTuple):
    """What is told of a wrong array.

    Args:
      name: a few words.
      what: a sentence to the student.
      own: nothing but this step's own mistake looks so; else one before it may.
    """

    name: str
    what: str
    own: bool = False


def pattern(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return what a wrong value has in common with the right one; nothing where nothing is."""

    def same(first: np.ndarray, second: np.ndarray) -> bool:
        return near(first, second, allowed)

    if not np.isfinite(value).all():
        return Pattern("not finite", "There are numbers that aren't finite: nan or inf.", own=True)
    if is_nothing(value, right):
        return Pattern("all zeros", "Every number is 0.")
    if digits := [n for n in range(1, 7) if same(value, np.asarray(np.round(right, n)))]:
        text = f"It is rounded to {digits[0]} digits: hand in more, or allow for it (tolerance)."
        return Pattern("rounded", text, own=True)
    if right.size < LEAST:
        return NOTHING
    factor = ratio(value, right)
    if factor and same(value, factor * right):
        return Pattern("a constant factor", f"It is {factor:.4g} times what it should be.")
    return _changed(kind, value, right, at, allowed)


def _changed(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return what was added to a right value, or cut from it."""
    if np.ptp(value - right) <= allowed * np.abs(right).max():
        return Pattern("a constant added", "The same number is added everywhere.", own=True)
    if kind == "Z" and (seen := _products(value, at, allowed)).name:
        return seen
    if kind in ("newW", "newb") and (old := at(kind[-1])).size >= LEAST:
        times = ratio(value - old, right - old)
        if times and near(value, old + times * (right - old), allowed):
            text = f"The step is {times:.4g} times the right one."
            return Pattern("another step", text, own=True)
    low, high = value.min(), value.max()
    if low < high and near(value, np.clip(right, low, high), allowed):
        text = "Small or large numbers are clipped: they are to stay."
        return Pattern("clipped", text, own=True)
    if kind in ("dW", "newW") and _along(value - right, at("W"), allowed * np.abs(value).max()):
        text = (
            "A share of the weights themselves is in it: a penalty or decay that isn't asked for."
        )
        return Pattern("a weight decay that isn't asked for", text, own=True)
    # Numbers are called right beside the wrong ones, where these are wrong by far more.
    far = min(allowed, 0.01 * np.abs(value - right).max() / np.abs(right).max())
    for seen in (
        _left(kind, value, right, at, far),
        _told_by_sums(kind, value, at, allowed),
        _signed(kind, value, right, at, far),
        _places(value, right, far),
    ):
        if seen.name:
            return seen
    return _shared(kind, value, right, at, allowed)


def _left(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return which rows or columns a loop has left out: 0, or as they were before the update."""
    new = kind in ("newW", "newb")
    wrong = wrong_places(value, right, allowed)
    start = at(kind[-1]) if new else np.zeros_like(value)
    if wrong.all() or not near(value[wrong], start[wrong], allowed):
        return NOTHING
    for axis, name in enumerate(("row", "column")[: value.ndim]):
        lines = np.flatnonzero(wrong.any(axis=1 - axis) if value.ndim > 1 else wrong)
        if np.take(wrong, lines, axis).all():
            ends = {
                (wrong.shape[axis] - 1,): " A loop may stop one short.",
                (0,): " A loop may begin one late.",
            }
            what = "are as before the update" if new else "are still 0"
            text = f"Its {name}s {list(map(int, lines))} (counted from 0) {what}, the others right."
            text += ends.get(tuple(lines), "")
            return Pattern(f"{name}s left out", text, own=new or name == "row")
    return NOTHING


def _signed(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return for which sign of Z alone an activation or its slope is wrong."""
    wrong = wrong_places(value, right, allowed)
    for sign in (-1, 1) if kind in ("A", "dZ") and wrong.any() and not wrong.all() else ():
        if np.array_equal(wrong, sign * at("Z") > 0):
            where = "positive" if sign > 0 else "negative"
            text = f"It is wrong where Z is {where}, and right elsewhere."
            return Pattern(f"wrong where Z is {where}", text, own=kind == "A")
    return NOTHING


def _told_by_sums(kind: str, value: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return which examples a sum over them takes in, where not all are alike."""
    if kind not in ("dW", "db") or at.N > MOST_SOLVED:
        return NOTHING
    each = at("A", -1)[:, :, None] * at("dZ")[:, None] if kind == "dW" else at("dZ")
    parts = each.reshape(at.N, -1).T
    if parts.shape[0] <= parts.shape[1] or not parts.any() or at.penalty:
        return NOTHING
    shares, _, rank, _ = np.linalg.lstsq(parts, value.ravel(), rcond=None)
    if rank < len(shares) or not near(parts @ shares, value.ravel(), allowed):
        return NOTHING
    left_out = np.flatnonzero(np.abs(shares) < SHARE * np.abs(shares).max())
    if len(left_out):
        text = f"The examples {list(map(int, left_out))} (counted from 0) don't enter the sum."
        whole = np.abs(shares - np.round(shares)).max() < SHARE
        return Pattern("examples left out", text, own=bool(whole))
    return Pattern("examples that count differently", "The examples don't enter the sum alike.")


def _shared(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return what rows or columns have in common: a factor each, a term, a sum."""
    if right.ndim < 2 or min(right.shape) < 2:
        return NOTHING
    names = ("unit", "unit") if kind in ("dW", "newW") else ("example", "unit")
    for axis, name in enumerate(names):
        across = (value * right).sum(1 - axis, keepdims=True)
        size = (right**2).sum(1 - axis, keepdims=True)
        factors = across / np.where(size == 0, 1, size)
        if near(value, factors * right, allowed):
            text = f"Each {name}'s numbers carry a factor of their own that doesn't belong there."
            return Pattern(f"a factor for each {name}", text)
    size = allowed * np.abs(value).max()
    if kind not in ("dW", "newW") and np.ptp(value - right, axis=0).max() <= size:
        return Pattern("a term too much", "The same is added for every example: it is too much.")
    return _laws(kind, value, at, allowed)


def _laws(kind: str, value: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return which property of a right value is missing, or kept."""
    softmax = at.model.loss == "softmax_cross_entropy"
    if kind == "Y" and softmax and np.abs(value.sum(1) - 1).max() > allowed:
        return Pattern("rows that don't sum to 1", "Each row of the outputs is to sum to 1.")
    if kind == "dY" and softmax and np.abs(value.sum(1)).max() > allowed * np.abs(value).max():
        text = "Each row is to sum to 0, as the outputs and the labels both sum to 1."
        return Pattern("rows that don't sum to 0", text)
    if kind in ("A", "Y"):
        rows = [(at("Z"), value)] if kind == "A" else list(zip(at("Z"), value, strict=True))
        rises = np.concatenate([np.diff(v.ravel()[np.argsort(z.ravel())]) for z, v in rows])
        if (rises >= 0).all() or (rises <= 0).all():
            text = "Z was right, and another function was computed of it."
            return Pattern("another function of Z", text, own=True)
    return NOTHING


def _products(value: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return what is wrong of a sum of products and biases, where one of the two is right."""
    products, size = at("A", -1) @ at("W"), allowed * np.abs(value).max()
    if np.ptp(value - products, axis=0).max() <= size:
        text = "The products are right; what is added to them is the same for every example, yet "
        return Pattern("another number than the bias", f"{text}it isn't the biases.", own=True)
    if _along(value - at("b"), products, size):
        text = "The biases are right; the products are scaled."
        return Pattern("products scaled", text, own=True)
    return NOTHING


NOTHING = Pattern("", "")


def is_nothing(value: np.ndarray, right: np.ndarray) -> bool:
    """Tell whether numbers are 0 but for rounding."""
    return bool(np.abs(value).max(initial=0) <= ROUNDING * np.abs(right).max(initial=0))


def ratio(value: np.ndarray, other: np.ndarray) -> float:
    """Return the factor by which an array is nearest to another; 0 where there is none."""
    if other.shape != value.shape or not other.any():
        return 0.0
    return float((value * other).sum() / (other**2).sum())


def near(value: np.ndarray, other: np.ndarray, allowed: float, floor: float = 0) -> bool:
    """Tell whether two arrays agree, relative to their largest element, or below a floor."""
    if np.shape(value) != np.shape(other):
        return False
    with np.errstate(all="ignore"):
        size = max(np.max(np.abs(value), initial=0), np.max(np.abs(other), initial=0))
        if not np.isfinite(size):  # infinity is no share of infinity
            return np.array_equal(value, other, equal_nan=True)
        return bool(np.max(np.abs(value - other), initial=0) <= max(allowed * size, floor))


def wrong_places(value: np.ndarray, right: np.ndarray, allowed: float) -> np.ndarray:
    """Return where two arrays of one shape differ."""
    with np.errstate(invalid="ignore"):
        near_enough = np.abs(value - right) <= allowed * np.max(np.abs(right), initial=0)
    return np.logical_not(np.asarray(near_enough), out=np.empty(np.shape(value), bool))


def _along(gap: np.ndarray, direction: np.ndarray, allowed: float) -> bool:
    size = float((direction**2).sum())
    factor = float((gap * direction).sum()) / size if size else 0.0
    return bool(factor) and bool(np.abs(gap - factor * direction).max() <= allowed)


def _places(value: np.ndarray, right: np.ndarray, allowed: float) -> Pattern:
    """Return which rows or columns are wrong, or changed places."""
    for axis, name in enumerate(("row", "column")[: value.ndim]):
        turned, straight = np.moveaxis(value, axis, 0), np.moveaxis(right, axis, 0)
        gaps = np.abs(turned[:, None] - straight[None]).reshape(len(turned), len(turned), -1)
        alike = gaps.max(axis=2) <= allowed * np.abs(right).max()
        if alike.any(axis=1).all() and alike.any(axis=0).all():
            text = f"Its {name}s are in another order."
            return Pattern(f"{name}s in another order", text, own=True)
        wrong = np.flatnonzero(~np.diagonal(alike))
        if len(wrong) == 1 and len(turned) > 2:
            place = f"{name} {wrong[0]} (counted from 0)"
            return Pattern(f"one {name} wrong", f"It is right but for {place}.", name == "row")
    return NOTHING
