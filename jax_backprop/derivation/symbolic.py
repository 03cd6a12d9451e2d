"""The equations on symbols: derivatives by sympy, and the proof that a difference is exactly 0."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import sympy

from jax_backprop.derivation.batch import PARAMETERS
from jax_backprop.derivation.definitions import Quantity, Values
from jax_backprop.derivation.elementary import E
from jax_backprop.derivation.fractions import is_zero
from jax_backprop.derivation.jacobians import Pair, Quantities


def symbols(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of symbols, name_0_0 and so on."""
    array = np.empty(shape, object)
    for index in np.ndindex(shape):
        array[index] = sympy.Symbol("_".join([name, *map(str, index)]), real=True)
    return array


def symbolic_point(sizes: tuple[int, int, int], examples: int | None = None) -> dict[str, Quantity]:
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
    point: dict[str, Quantity] = {name: symbols(name, shapes[name]) for name in PARAMETERS}
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


def nonzero_elements(left: Quantity, right: Quantity, *, apart: bool = False) -> int:
    """Return in how many elements two arrays of expressions differ: 0 proves them equal.

    Each power of e is taken as an unknown of its own: where the difference of two fractions in
    these unknowns vanishes, it vanishes for every value. (Where it doesn't, that proves nothing.)

    Args:
      left, right: the arrays.
      apart: take e^(a + b) for e^a e^b first, and sums of logarithms for one of a product: slower,
        and needed where the two sides were computed in different ways.
    """
    gaps = np.ravel(np.asarray(left, object) - np.asarray(right, object))
    prepare = _taken_apart if apart else sympy.sympify
    return sum(not _vanishes(prepare(gap)) for gap in gaps)


def _vanishes(gap: Quantity) -> bool:
    gap = gap.xreplace({power: sympy.Dummy() for power in gap.atoms(E)})
    return all(map(is_zero, _linear_parts(gap)))


def _taken_apart(gap: sympy.Expr) -> sympy.Expr:
    return _without_logarithms(_apart(sympy.sympify(gap)))


def _apart(expression: sympy.Expr) -> Quantity:
    return expression.xreplace({each: _power(each.args[0]) for each in expression.atoms(E)})


@lru_cache(maxsize=4096)
def _power(exponent: sympy.Expr) -> sympy.Expr:
    """Return e^(a + 2 b - c) as e^a (e^b)^2 / e^c."""
    found = sympy.Integer(1)
    for term in sympy.Add.make_args(sympy.expand(_apart(exponent))):
        times, rest = term.as_coeff_Mul()
        found *= E(rest) ** times if times.is_Integer else E(term)
    return found


def _without_logarithms(gap: sympy.Expr) -> sympy.Expr:
    """Return, for a + sum_l c_l log l, what vanishes where it does: e^(n a) prod_l l^(n c_l) - 1.

    n makes whole numbers of the c_l; any other expression is returned as it is.
    """
    unknowns = {logarithm: sympy.Dummy() for logarithm in gap.atoms(sympy.log)}
    linear = gap.xreplace(unknowns)
    shares: dict[sympy.Basic, Quantity] = {
        each: sympy.diff(linear, unknown) for each, unknown in unknowns.items()
    }
    if not shares or not all(share.is_Rational for share in shares.values()):
        return gap
    times = sympy.ilcm(1, *(share.q for share in shares.values()))
    rest: Quantity = linear.xreplace(dict.fromkeys(unknowns.values(), sympy.Integer(0)))
    powers = (each.args[0] ** (times * share) for each, share in shares.items())
    return _power(times * rest) * sympy.Mul(*powers) - 1


def _linear_parts(gap: sympy.Expr) -> list[Quantity]:
    """Split a + sum_s c_s s, linear in the steps s of an update, into a and every c_s.

    The sum vanishes for every step where each part does, and one by one takes 0.2 s, not 27.
    """
    steps = [symbol for symbol in gap.free_symbols if str(symbol).startswith("step_")]
    slopes = [sympy.diff(gap, step) for step in steps]
    if any(slope.free_symbols & set(steps) for slope in slopes):
        return [gap]
    return [gap.xreplace(dict.fromkeys(steps, sympy.Integer(0))), *slopes]
