"""The code that trains networks, on symbols: JAX traces it, and its program is run by sympy.

What is run is the very list of operations (the jaxpr) that JAX compiles, so that the equations can
be proven of it. Arithmetic is exact: what rounding does to it, float64 residuals say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import jax
import numpy as np
import sympy
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from jax_backprop.derivation.definitions import Function, Quantity, Values, parameters
from jax_backprop.derivation.elementary import E

Settings: TypeAlias = Mapping[str, Any]  # of an operation, each of its own type


def on_symbols(
    function: Function, values: Values, names: Sequence[str] | None = None
) -> np.ndarray:
    """Return what a function's program gives for symbols.

    Args:
      function: of arrays, its parameters names of quantities; any code that JAX can trace.
      values: arrays of symbols by the names of quantities; ``labels`` are one-hot numbers.
      names: what to call it with; by default its parameters.

    Raises:
      NotImplementedError: the program has an operation that isn't known here.
    """
    fixed = {"labels": np.asarray(values["labels"], np.float32)}
    wanted = parameters(function) if names is None else names
    given = {name: np.asarray(values[name]) for name in wanted if name not in fixed}
    shapes = {name: jax.ShapeDtypeStruct(array.shape, np.float32) for name, array in given.items()}
    chosen = {name: array for name, array in fixed.items() if name in wanted}
    program = jax.make_jaxpr(lambda arrays: function(**chosen, **arrays))(shapes)
    constants = map(_exact, program.consts)
    (found,) = _run(program.jaxpr, constants, [given[name] for name in sorted(given)])
    return found


def one_hots(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield every choice of labels, one-hot, of shape (classes,) or (examples, classes)."""
    *rows, classes = shape
    for chosen in product(range(classes), repeat=math.prod(rows)):
        yield np.eye(classes, dtype=int)[list(chosen)].reshape(shape)


def _run(
    jaxpr: Jaxpr, constants: Iterable[np.ndarray], arguments: Iterable[np.ndarray]
) -> list[np.ndarray]:
    """Evaluate what a program returns, and on the way only what that needs."""
    known: dict[Var, np.ndarray] = dict(zip(jaxpr.constvars, constants, strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))
    makers = {variable: equation for equation in jaxpr.eqns for variable in equation.outvars}

    def value(variable: Var | Literal) -> np.ndarray:
        if isinstance(variable, Literal):
            return _exact(variable.val)
        if variable not in known:
            equation = makers[variable]
            found = _apply(equation, [value(each) for each in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return known[variable]

    return [value(variable) for variable in jaxpr.outvars]


def _apply(equation: JaxprEqn, values: list[np.ndarray]) -> list[np.ndarray]:
    name, settings = equation.primitive.name, equation.params
    if name in ("jit", "pjit"):
        inner = settings["jaxpr"]
        return _run(inner.jaxpr, map(_exact, inner.consts), values)
    if name not in OPERATIONS:
        raise NotImplementedError(f"operation {name!r} on symbols")
    return [np.asarray(OPERATIONS[name](*values, settings))]


def _exact(value: object) -> np.ndarray:
    """Return an array whose floats are the rational numbers that they are."""
    array = np.asarray(value)
    return _each(sympy.Rational)(array) if np.issubdtype(array.dtype, np.floating) else array


def _each(function: Callable[[sympy.Expr], object]) -> Callable[..., np.ndarray]:
    """Return an operation on every element; its settings don't matter."""
    spread = np.frompyfunc(function, 1, 1)
    return lambda array, settings=None: np.asarray(spread(array), object)


def _same(array: np.ndarray, settings: Settings) -> np.ndarray:
    return array.astype(int) if array.dtype == bool else array


def _any_number(*arrays: np.ndarray) -> np.ndarray:
    """Return a new symbol an element: a largest value may be any number, if the result holds so."""
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    found = np.empty(shape, object)
    for index in np.ndindex(shape):
        found[index] = sympy.Dummy("m", real=True)
    return found


def _broadcast(array: np.ndarray, settings: Settings) -> np.ndarray:
    shape, axes = settings["shape"], settings["broadcast_dimensions"]
    aligned = [1] * len(shape)
    for axis, size in zip(axes, array.shape, strict=True):
        aligned[axis] = size
    return np.broadcast_to(array.reshape(aligned), shape)


def _iota(settings: Settings) -> np.ndarray:
    shape, axis = settings["shape"], settings["dimension"]
    return np.indices(shape)[axis]


def _product(left: np.ndarray, right: np.ndarray, settings: Settings) -> np.ndarray:
    (axes, batch) = settings["dimension_numbers"]
    if any(batch):
        raise NotImplementedError("a batched product on symbols")
    return np.tensordot(left, right, axes=axes)


def _e(exponent: sympy.Expr) -> Quantity:
    return E(exponent)


def _is_finite(value: object) -> bool:
    return True  # a real number


OPERATIONS: dict[str, Callable[..., np.ndarray | np.generic]] = {
    "add": lambda a, b, settings: a + b,
    "sub": lambda a, b, settings: a - b,
    "mul": lambda a, b, settings: a * b,
    "div": lambda a, b, settings: a / b,
    "neg": lambda a, settings: -a,
    "eq": lambda a, b, settings: a == b,
    "and": lambda a, b, settings: a & b,
    "exp": _each(_e),
    "expm1": _each(lambda x: _e(x) - 1),
    "log1p": _each(lambda x: sympy.log(1 + x)),
    "logistic": _each(lambda x: 1 / (1 + _e(-x))),
    "is_finite": _each(_is_finite),
    "max": lambda a, b, settings: _any_number(a, b),
    "reduce_max": lambda a, settings: _any_number(a.sum(settings["axes"])),
    "argmax": lambda a, settings: np.argmax(a, *settings["axes"]),
    "reduce_sum": lambda a, settings: a.sum(settings["axes"]),
    "dot_general": _product,
    "select_n": lambda which, no, yes, settings: np.where(np.asarray(which, bool), yes, no),
    "iota": _iota,
    "broadcast_in_dim": _broadcast,
    "squeeze": lambda a, settings: a.squeeze(settings["dimensions"]),
    "transpose": lambda a, settings: a.transpose(settings["permutation"]),
    **dict.fromkeys(("convert_element_type", "stop_gradient", "copy"), _same),
}
