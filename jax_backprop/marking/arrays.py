"""The ways in which an array may be laid out: each is tried, none is demanded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.marking.network import Model, shape_of, split


class View(NamedTuple):
    """An array as this project lays it out, the biases that lay in it, and how it was found.

    Args:
      value: examples in rows, weights (fan_in, fan_out).
      biases: where a column or row of the weights held them.
      layout: what was assumed; empty where nothing had to be.
    """

    value: np.ndarray
    biases: np.ndarray | None = None
    layout: str = ""


ROWS_TURNED, WEIGHTS_TURNED = "examples in columns", "weights (fan_out, fan_in)"


def numbers(what: str, value: object) -> np.ndarray:
    """Return anything that holds numbers as a float64 array. Raises InputError for what doesn't."""
    try:
        found = np.asarray(value)
        if found.dtype == object or found.dtype.kind in "US":
            found = np.asarray(value, np.float64)
        if np.iscomplexobj(found):
            raise TypeError("complex numbers")
        return np.asarray(found, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            what,
            got=f"{str(value)[:40]} ({str(error)[:60]})",
            expected="an array of numbers",
            remedy="Hand in numbers, lists of them, or arrays.",
        ) from None


def views(value: np.ndarray, model: Model, name: str, examples: int) -> list[View]:
    """Return every reading of a step's array that fits its shape; none where nothing does."""
    letters, _ = split(name)
    right = shape_of(model, name, examples)
    if letters.endswith("W"):
        found = list(_weights(value, right))
    elif letters.endswith("b"):
        layout = f"shape {list(value.shape)} read as {[value.size]}" if value.ndim > 1 else ""
        found = [View(value.ravel(), layout=layout)] if _only_axis(value, right[0]) else []
    elif name == "E":
        found = list(_loss(value, model, examples))
    else:
        found = list(_rows(value, right, ones=letters == "A", extra=letters in ("dA", "dZ")))
    return [view for view in found if view.value.shape == right]


def _only_axis(value: np.ndarray, size: int) -> bool:
    return value.size == size and max(value.shape, default=1) == size


def _loss(value: np.ndarray, model: Model, examples: int) -> Iterator[View]:
    if value.size == 1:
        yield View(value.reshape(()))
    elif _only_axis(value, examples):
        total = value.sum() / (examples if model.reduction == "mean" else 1)
        yield View(np.asarray(total), layout="one loss for each example")


def _rows(value: np.ndarray, right: tuple[int, ...], *, ones: bool, extra: bool) -> Iterator[View]:
    examples, units = right
    if value.shape == right:
        yield View(value)
    if value.ndim == 2 and value.T.shape == right:
        yield View(value.T, layout=ROWS_TURNED)
    if value.size == units * examples and value.shape in ((units,), (examples,), ()):
        yield View(value.reshape(right))
    if value.ndim == 1 and value.size == units * examples and 1 not in right:
        yield View(value.reshape(right), layout="unrolled row by row")
        yield View(value.reshape(units, examples).T, layout="unrolled column by column")
    if value.ndim == 2 and (ones or extra):
        for turned, layout in ((value, ""), (value.T, ROWS_TURNED)):
            if turned.shape == (examples, units + 1):
                for unit, rest in ((0, turned[:, 1:]), (-1, turned[:, :-1])):
                    if extra or (turned[:, unit] == 1).all():
                        text = ", ".join(filter(None, (layout, "a unit for the bias left out")))
                        yield View(rest, layout=text)


def _weights(value: np.ndarray, right: tuple[int, ...]) -> Iterator[View]:
    fan_in, fan_out = right
    if value.ndim == 2:
        yield from matrices(value, fan_in, fan_out)
    elif value.ndim == 1 and value.size in (fan_in * fan_out, (fan_in + 1) * fan_out):
        rows = value.size // fan_out
        for by_column, text in ((False, "row by row"), (True, "column by column")):
            for shape in ((rows, fan_out), (fan_out, rows)):
                for view in matrices(
                    value.reshape(shape, order="F" if by_column else "C"), fan_in, fan_out
                ):
                    layout = ", ".join(filter(None, (f"unrolled {text}", view.layout)))
                    yield view._replace(layout=layout)


def matrices(value: np.ndarray, fan_in: int, fan_out: int) -> Iterator[View]:
    """Yield a weight matrix as it is, transposed, and with the biases as its first or last row."""
    for turned, layout in ((value, ""), (value.T, WEIGHTS_TURNED)):
        if turned.shape == (fan_in, fan_out):
            yield View(turned, layout=layout)
        elif turned.shape == (fan_in + 1, fan_out):
            for place, rest, bias in (
                ("first", turned[1:], turned[0]),
                ("last", turned[:-1], turned[-1]),
            ):
                line = "column" if layout else "row"
                text = f"biases in the {place} {line} of the weights"
                yield View(rest, bias, ", ".join(filter(None, (layout, text))))
