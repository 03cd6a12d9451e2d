"""What people do to an array by mistake: another axis, order, index, sign or rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import jax.numpy as jnp
import numpy as np

Change = Callable[[np.ndarray], np.ndarray]
LARGE = 200_000  # elements: larger arrays are altered along their first axis alone


def alterations(shape: tuple[int, ...]) -> Iterator[tuple[str, Change]]:
    """Yield each mistake in a few words, and what it makes of an array of this shape."""
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    yield from _reordered(shape, axes)
    for axis in axes if np.prod(shape) <= LARGE else axes[:1]:
        for text, change in INDEXED:
            yield f"{text} along axis {axis}", partial(_along, axis, change)
    for axis in axes:
        yield f"its mean over axis {axis} in place of each", partial(_mean, axis)
        yield f"its sum over axis {axis} in place of each", partial(_sum, axis)
        yield f"less its mean over axis {axis}", lambda a, n=axis: a - _mean(n, a)
    if len(axes) > 1:
        yield "its mean over all axes in place of each", partial(_mean, None)
    if axes:
        yield "its sum over all axes in place of each", partial(_sum, None)
    yield "its absolute value", np.abs
    yield "its sign", np.sign
    yield "its square", np.square
    for dtype in (np.float16, jnp.bfloat16):
        yield f"rounded to {np.dtype(dtype).name}", partial(_rounded, dtype)


def _reordered(shape: tuple[int, ...], axes: list[int]) -> Iterator[tuple[str, Change]]:
    for one, other in combinations(axes, 2):
        if shape[one] == shape[other]:
            kind = "transposed" if len(shape) == 2 else f"axes {one} and {other} exchanged"
            yield kind, partial(np.swapaxes, axis1=one, axis2=other)
    if len(axes) > 1:
        yield "reshaped where it should be transposed", lambda a: a.reshape(a.shape[::-1]).T
        yield "flattened column by column", lambda a: a.T.reshape(a.shape)
        yield "in reverse order along all axes", np.flip
        yield "in reverse order along the last two axes", partial(np.flip, axis=(-2, -1))


def _mean(axis: int | None, array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array.mean(axis=axis, keepdims=True), array.shape)


def _sum(axis: int | None, array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array.sum(axis=axis, keepdims=True), array.shape)


def _rounded(dtype: type, array: np.ndarray) -> np.ndarray:
    return array.astype(dtype).astype(array.dtype)


def _along(axis: int, change: Change, array: np.ndarray) -> np.ndarray:
    return np.moveaxis(change(np.moveaxis(array, axis, 0)), 0, axis)


def _part(keep: slice, rows: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(rows)
    kept[keep] = rows[keep]
    return kept


def _moved(by: int, rows: np.ndarray) -> np.ndarray:
    """Shift rows, zeros following."""
    moved = np.zeros_like(rows)
    if by > 0:
        moved[by:] = rows[:-by]
    else:
        moved[:by] = rows[-by:]
    return moved


def _half(second: bool, rows: np.ndarray) -> np.ndarray:
    middle = len(rows) // 2
    return _part(slice(middle, None) if second else slice(middle), rows)


# What an index makes of an axis, which is the first here.
INDEXED: tuple[tuple[str, Change], ...] = (
    ("shifted by one, the last coming first,", lambda a: np.roll(a, 1, axis=0)),
    ("shifted by one, the first coming last,", lambda a: np.roll(a, -1, axis=0)),
    ("shifted up by one", partial(_moved, 1)),
    ("shifted down by one", partial(_moved, -1)),
    ("in reverse order", np.flipud),
    ("the first alone", partial(_part, slice(0, 1))),
    ("the last alone", partial(_part, slice(-1, None))),
    ("all but the first", partial(_part, slice(1, None))),
    ("all but the last", partial(_part, slice(None, -1))),
    ("the first half alone", partial(_half, False)),
    ("the second half alone", partial(_half, True)),
    ("summed up from the start", partial(np.cumsum, axis=0)),
    ("summed up from the end", lambda a: np.cumsum(a[::-1], axis=0)[::-1]),
)
