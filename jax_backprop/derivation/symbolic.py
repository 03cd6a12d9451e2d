"""The equations on symbols: derivatives by sympy, and the proof that a difference is exactly 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import sympy

from jax_backprop.derivation.batch import PARAMETERS
from jax_backprop.derivation.definitions import E, Values
from jax_backprop.gradcheck.jacobians import Pair, Quantities


def symbols(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of symbols, name_0_0 and so on."""
    array = np.empty(shape, object)
    for index in np.ndindex(shape):
        array[index] = sympy.Symbol("_".join([name, *map(str, index)]), real=True)
    return array


def symbolic_point(sizes: tuple[int, int, int], examples: int | None = None) -> dict[str, Any]:
    """Return a network's parameters and one example, or a batch, as symbols.

    The labels are any numbers that sum to 1 over the classes: the last is 1 less the others.

    Args:
      sizes: d, H and K.
      examples: N, for a batch with the learning rate 0 and any step; None for one example.
    """
    inputs, hidden, classes = sizes
    shapes = {
        "hidden_weights": (inputs, hidden),
        "hidden_biases": (hidden,),
        "output_weights": (hidden, classes),
        "output_biases": (classes,),
    }
    point: dict[str, Any] = {name: symbols(name, shapes[name]) for name in PARAMETERS}
    rows = () if examples is None else (examples,)
    free = symbols("label", (*rows, classes - 1))
    last = 1 - free.sum(-1, keepdims=True)
    point["inputs"] = symbols("input", (*rows, inputs))
    point["labels"] = np.concatenate([free, last], axis=-1)
    if examples is not None:
        point |= {f"step_{name}": symbols(f"step_{name}", shapes[name]) for name in PARAMETERS}
        point["learning_rate"] = np.array(sympy.Integer(0), object)
    return point


def symbolic_jacobians(
    quantities: Quantities, point: Values, pairs: Iterable[Pair]
) -> dict[Pair, np.ndarray]:
    """Return the Jacobian of each pair, in the symbols of the point's parameters and example."""
    return {pair: _jacobian(quantities, point, *pair) for pair in pairs}


def _jacobian(quantities: Quantities, point: Values, of: str, by: str) -> np.ndarray:
    value = np.asarray(point[by], object)
    variables = symbols("at", value.shape)
    function = np.asarray(quantities({by: variables})[of], object)
    back = dict(zip(variables.ravel(), map(sympy.sympify, value.ravel()), strict=True))
    entries = [
        sympy.diff(entry, variable).xreplace(back)
        for entry in function.ravel()
        for variable in variables.ravel()
    ]
    jacobian = np.empty(len(entries), object)
    jacobian[:] = entries
    return jacobian.reshape(function.shape + value.shape)


def nonzero_elements(left: Any, right: Any) -> int:
    """Return in how many elements two arrays of expressions differ: 0 proves them equal.

    Each power of e is taken as an unknown of its own: where the difference of two fractions in
    these unknowns vanishes, it vanishes for every value. (Where it doesn't, that proves nothing.)
    """
    gaps = np.ravel(np.asarray(left, object) - np.asarray(right, object))
    return sum(not _vanishes(sympy.sympify(gap)) for gap in gaps)


def _vanishes(gap: Any) -> bool:
    gap = gap.xreplace({power: sympy.Dummy() for power in gap.atoms(E)})
    return all(
        sympy.expand(sympy.fraction(sympy.together(part))[0]) == 0 for part in _linear_parts(gap)
    )


def _linear_parts(gap: Any) -> list[Any]:
    """Split a + sum_s c_s s, linear in the steps s of an update, into a and every c_s.

    The sum vanishes for every step where each part does, and one by one takes 0.2 s, not 27.
    """
    steps = [symbol for symbol in gap.free_symbols if str(symbol).startswith("step_")]
    slopes = [sympy.diff(gap, step) for step in steps]
    if any(slope.free_symbols & set(steps) for slope in slopes):
        return [gap]
    return [gap.xreplace(dict.fromkeys(steps, sympy.Integer(0))), *slopes]
