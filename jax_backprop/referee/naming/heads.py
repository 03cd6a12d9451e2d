"""What goes wrong where outputs meet targets: the error of a loss whose slope is s (Y - T).

Squared error, softmax, binary and Poisson cross-entropy have that slope by their outputs Z, with Y
the identity, the softmax, the sigmoid or the exponential of Z; s is the example's share and T the
targets. However a loss is written, two other points tell its Y and s, and so its T: no equation of
it has a wrong backward by itself where the whole error is written in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from jax_backprop.referee.naming.alterations import alterations

if TYPE_CHECKING:
    from jax_backprop.referee.naming.passes import Arrays, Passes

FITS = 1e-9  # of the cotangent's change: what rounding leaves of a slope that is s (Y - T)
MOVED = 0.1  # by how much the parameters are, relative to their size
POINTS = 2

Link = Callable[[np.ndarray], np.ndarray]
Wrong = Iterator[tuple[str, Callable[[], np.ndarray]]]


class Head(NamedTuple):
    """The outputs of a loss: their slot Z, Y's name, the axis of its classes, Y, s and T."""

    slot: int
    link: str
    axis: int | None
    outputs: np.ndarray
    shares: np.ndarray
    targets: np.ndarray


def find_heads(passes: Passes) -> dict[int, Head]:
    """Return the heads of a loss by their slot: of each shape the nearest to the parameters."""
    generator = np.random.default_rng(3)
    points = []
    for _ in range(POINTS):
        leaves = [
            leaf + MOVED * generator.normal(size=leaf.shape) * (np.abs(leaf).mean() or 1.0)
            for leaf in (passes.values[slot] for slot in passes.program.leaves)
        ]
        points.append(passes.elsewhere(leaves))
    found: dict[tuple[str, tuple[int, ...]], Head] = {}
    for slot in sorted(set(passes.base.cotangents) - set(passes.program.leaves)):
        value = passes.values[slot]
        if value.size < 2 or value.dtype.kind != "f":
            continue
        for name, axis, link in _links(value.shape):
            if (name, value.shape) not in found:
                head = _fit(passes, points, slot, name, axis, link)
                found |= {(name, value.shape): head} if head else {}
    return {head.slot: head for head in found.values()}


def _links(shape: tuple[int, ...]) -> Iterator[tuple[str, int | None, Link]]:
    for axis, size in enumerate(shape):
        if size > 1 and len(shape) > 1:
            yield f"softmax over axis {axis}", axis, partial(softmax, axis=axis)
    yield "sigmoid", None, expit
    yield "exp", None, np.exp
    yield "identity", None, lambda z: z


def _fit(
    passes: Passes,
    points: list[tuple[Arrays, Arrays]],
    slot: int,
    name: str,
    axis: int | None,
    link: Link,
) -> Head | None:
    """Find s, which is one number an example; None where the slope isn't s (Y - T)."""
    value, slope = passes.values[slot], passes.base.cotangents[slot]
    example = axis if axis is not None else tuple(range(1, value.ndim)) or None
    if axis is None and value.ndim > 1 and value.size == len(value):
        example = None  # one output each: one number for all
    with np.errstate(all="ignore"):
        outputs = link(value)
        changes = np.stack([link(values[slot]) - outputs for values, _ in points])
        moved = np.stack([slopes[slot] - slope for _, slopes in points])

        def summed(array: np.ndarray) -> np.ndarray:
            return np.sum(array.sum(axis=0), axis=example, keepdims=True)

        shares = summed(changes * moved) / summed(changes**2)
        off = np.linalg.norm(moved - shares * changes)
        targets = outputs - slope / np.where(shares, shares, 1)
    size = np.linalg.norm(moved)
    if not size or not off <= FITS * size or not np.isfinite(targets).all():
        return None
    return Head(slot, name, axis, outputs, np.broadcast_to(shares, value.shape), targets)


def wrong_slopes(head: Head, value: np.ndarray) -> Wrong:
    """Yield mistakes in s (Y - T), in a few words each, and what they make of it."""
    y, t, s = head.outputs, head.targets, head.shares
    for text, change in (*alterations(t.shape), *_of_classes(head)):
        yield f"its targets {text}", lambda change=change: s * (y - change(t))
    yield "its targets left out", lambda: s * y
    for hard, targets in {"": t, ", the targets hard": _hard(head)}.items():
        for text, link in _other_links(head, value):
            wrong = partial(lambda link, targets: s * (link(value) - targets), link, targets)
            yield f"{text} in place of the {head.link}{hard}", wrong
        yield from ((f"{text}{hard}", make) for text, make in _of_derivatives(head, y, targets, s))
    yield "the sign of the error in its place", lambda: s * np.sign(y - t)
    if head.axis is not None:
        hot = _hard(head)
        yield "its error at the label alone", lambda: s * (y - t) * hot
        yield "its error at all but the label", lambda: s * (y - t) * (1 - hot)


def _hard(head: Head) -> np.ndarray:
    if head.axis is None:
        return np.round(head.targets)
    return (head.targets == head.targets.max(axis=head.axis, keepdims=True)).astype(float)


def _of_classes(head: Head) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Yield what becomes of targets that are classes."""
    if head.axis is None:
        return
    hot, axis = _hard(head), head.axis
    order = np.argsort(np.argmax(np.moveaxis(hot, axis, -1), axis=-1), axis=0, kind="stable")
    if head.targets.ndim == 2 and axis == 1:
        yield "sorted", lambda t: t[order]
    yield "hard: label smoothing left out", lambda t: hot
    yield "not subtracted at the label", lambda t: t - hot


def _other_links(head: Head, value: np.ndarray) -> Iterator[tuple[str, Link]]:
    own = head.axis
    for text, _, link in _links(value.shape):
        if text != head.link:
            yield text, link
    yield "tanh", np.tanh
    if own is not None:
        yield "the softmax of the softmax", lambda z: softmax(softmax(z, axis=own), axis=own)
        yield "the softmax of minus its input", lambda z: softmax(-z, axis=own)
        yield "the softmax over the whole array", softmax
        yield "the log of the softmax", lambda z: np.log(softmax(z, axis=own))
        yield (
            "the likeliest class, as 0 and 1,",
            lambda z: (z == z.max(axis=own, keepdims=True)).astype(float),
        )


def _of_derivatives(head: Head, y: np.ndarray, t: np.ndarray, s: np.ndarray) -> Wrong:
    """Yield what becomes of Y's own derivative, which s (Y - T) holds already."""
    if head.link == "identity":
        return
    slope = y if head.link == "exp" else y * (1 - y)
    yield "the output's derivative multiplied in again", lambda: s * (y - t) * slope
    yield "the output's derivative left out", lambda: s * (y - t) / slope
    if head.axis is not None:
        axis = head.axis
        yield "the softmax's derivative left out", lambda: -s * t / y
        yield "the softmax's derivative, its diagonal alone", lambda: -s * t * (1 - y)

        def squared() -> np.ndarray:
            error = y - t
            return s * y * (error - (error * y).sum(axis=axis, keepdims=True))

        yield "the squared error of the softmax", squared
