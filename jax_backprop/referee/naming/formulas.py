"""Pullbacks in NumPy: of products, and of operations of one operand as mistakes make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jax_backprop.referee.naming.equations import Equation
from jax_backprop.referee.naming.passes import Passes

Formula = Callable[[np.ndarray], np.ndarray]
# Derivatives as they are written with the output at hand.
OF_OUTPUT: dict[str, tuple[str, Formula]] = {
    "tanh": ("1 - o^2", lambda o: 1 - o**2),
    "logistic": ("o (1 - o)", lambda o: o * (1 - o)),
    "exp": ("o", lambda o: o),
    "sqrt": ("1 / (2 o)", lambda o: 0.5 / o),
    "rsqrt": ("-o^3 / 2", lambda o: -0.5 * o**3),
}
FORMS: dict[str, Formula] = {
    "1 - o": lambda o: 1 - o,
    "1 + o": lambda o: 1 + o,
    "o (1 + o)": lambda o: o * (1 + o),
    "1 + o^2": lambda o: 1 + o**2,
    "o^2": lambda o: o**2,
    "(1 - o)^2": lambda o: (1 - o) ** 2,
    "o > 0": lambda o: (o > 0).astype(float),
    "1 / o": lambda o: 1 / o,
    "-1 / o^2": lambda o: -1 / o**2,
}


def slopes(
    passes: Passes, number: int, place: int
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Yield an elementwise operation's slope as mistakes make it."""
    each = passes.program.equations[number]
    operand, output = passes.values[each.inputs[place]], passes.values[each.outputs[0]]
    own, at_output, at_mean, at_sign = passes.slopes[number]
    yield "derivative twice", lambda: own**2
    yield "the derivative's inverse in its place", lambda: 1 / own
    yield "derivative taken at the output", lambda: at_output
    yield "derivative's mean over the first axis", lambda: _mean(own)
    yield "derivative taken at the operand's mean", lambda: at_mean
    yield "derivative taken at the operand's sign", lambda: at_sign
    if each.name in OF_OUTPUT:
        formula = OF_OUTPUT[each.name][1]
        yield "derivative's formula for the output given the input", partial(formula, operand)
    others = {text: formula for name, (text, formula) in OF_OUTPUT.items() if name != each.name}
    for text, formula in (others | FORMS).items():
        for name, at in (("output", output), ("input", operand)):
            yield f"{text}, o the {name}, in place of the derivative", partial(formula, at)


def _mean(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array.mean(axis=0), array.shape) if array.ndim else array


def summed_to(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the sum over the axes along which an array of a shape was broadcast."""
    if array.ndim > len(shape):
        array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    axes = tuple(n for n, size in enumerate(shape) if size != array.shape[n])
    return array.sum(axis=axes, keepdims=True) if axes else array


def product_pulled(
    each: Equation, place: int, arriving: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """Return the cotangent of one factor of a ``dot_general``, by the other factor."""
    (contracted, batched) = each.params["dimension_numbers"]
    summed, along = (contracted[place], contracted[1 - place]), (batched[place], batched[1 - place])
    names = iter("abcdefghijklmnopqrstuvwxyz")
    theirs: dict[int, str] = {axis: next(names) for axis in range(other.ndim)}
    mine = {axis: theirs[same] for axis, same in zip(summed[0], summed[1], strict=True)}
    mine |= {axis: theirs[same] for axis, same in zip(along[0], along[1], strict=True)}
    rank = arriving.ndim - other.ndim + 2 * len(summed[0]) + len(along[0])
    free = [axis for axis in range(rank) if axis not in mine]
    mine |= {axis: next(names) for axis in free}
    shared = [mine[axis] for axis in along[0]]
    others = [theirs[axis] for axis in range(other.ndim) if axis not in (*summed[1], *along[1])]
    own = [mine[axis] for axis in free]
    result = "".join([*shared, *(own + others if place == 0 else others + own)])
    left, right = "".join(theirs.values()), "".join(mine[axis] for axis in range(rank))
    return np.einsum(f"{result},{left}->{right}", arriving, other, optimize=True)
