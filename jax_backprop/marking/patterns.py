"""What is told from a wrong array alone, beside the right one: no equation of its own is needed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jax_backprop.marking.network import At

LEAST = 3  # elements: of fewer, any number is some factor of any other


class Pattern(NamedTuple):
    """A few words, and a sentence to the student."""

    name: str
    what: str


def pattern(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return what a wrong value has in common with the right one; nothing where nothing is."""

    def same(first: np.ndarray, second: np.ndarray) -> bool:
        return near(first, second, allowed)

    if not np.isfinite(value).all():
        return Pattern("not finite", "There are numbers that aren't finite: nan or inf.")
    if not value.any():
        return Pattern("all zeros", "Every number is 0.")
    if digits := [n for n in range(1, 7) if same(value, np.asarray(np.round(right, n)))]:
        text = f"It is rounded to {digits[0]} digits: hand in more, or allow for it (tolerance)."
        return Pattern("rounded", text)
    if right.size < LEAST:
        return NOTHING
    factor = float((value * right).sum() / (right**2).sum()) if right.any() else 0.0
    if factor and same(value, factor * right):
        return Pattern("a constant factor", f"It is {factor:.4g} times what it should be.")
    return _changed(kind, value, right, at, allowed)


def _changed(kind: str, value: np.ndarray, right: np.ndarray, at: At, allowed: float) -> Pattern:
    """Return what was added to a right value, or cut from it."""
    if np.ptp(value - right) <= allowed * np.abs(right).max():
        return Pattern("a constant added", "The same number is added everywhere.")
    low, high = value.min(), value.max()
    if low < high and near(value, np.clip(right, low, high), allowed):
        return Pattern("clipped", "Small or large numbers are clipped: they are to stay.")
    if kind in ("dW", "newW") and _along(value - right, at("W"), allowed * np.abs(value).max()):
        text = (
            "A share of the weights themselves is in it: a penalty or decay that isn't asked for."
        )
        return Pattern("a weight decay that isn't asked for", text)
    return _places(value, right, allowed)


NOTHING = Pattern("", "")


def near(value: np.ndarray, other: np.ndarray, allowed: float, floor: float = 0) -> bool:
    """Tell whether two arrays agree, relative to their largest element, or below a floor."""
    if np.shape(value) != np.shape(other):
        return False
    with np.errstate(all="ignore"):
        size = max(np.max(np.abs(value), initial=0), np.max(np.abs(other), initial=0))
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
            return Pattern(f"{name}s in another order", f"Its {name}s are in another order.")
        wrong = np.flatnonzero(~np.diagonal(alike))
        if len(wrong) == 1 and len(turned) > 2:
            place = f"{name} {wrong[0]} (counted from 0)"
            return Pattern(f"one {name} wrong", f"It is right but for {place}.")
    return NOTHING
