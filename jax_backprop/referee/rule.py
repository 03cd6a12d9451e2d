"""A function with a derivative rule of its own, beside the plain one, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.arrays import as_array, dtype_of
from jax_backprop.referee.form import Form, form_of
from jax_backprop.referee.programs import Traced
from jax_backprop.referee.report import Law

Function = Callable[..., Any]
LAW_GATE = 1024  # eps: the laws compare the function with itself, summed in another order
NAN = float("nan")


class Rule(NamedTuple):
    """A function with a rule of its own, the plain one beside it, and a point.

    Args:
      form: of the primals, all differentiated.
      cotangent: an array for each floating output.
    """

    function: Function
    reference: Function
    primals: tuple[Any, ...]
    form: Form
    cotangent: list[Any]
    seed: int

    @property
    def floats(self) -> list[Any]:
        """The differentiated leaves."""
        return [leaf.value for leaf in self.form.floats]

    def of_floats(self, function: Function) -> Function:
        """Return a function of the differentiated leaves alone, giving its floating outputs."""

        def called(*floats: Any) -> list[Any]:
            args, _ = self.form.arguments(self.form.filled(floats))
            return floating(function(*args))

        return called

    def draw(self, number: int, like: Sequence[Any]) -> list[Any]:
        """Return random arrays of given shapes and dtypes."""
        generator = np.random.default_rng([self.seed, number])
        return [
            jnp.asarray(generator.normal(size=np.shape(each)), held_dtype(each)) for each in like
        ]

    def value(self, function: Function) -> Any:
        """Return what a function gives at the primals: compiled, unless it is no program."""
        leaves, structure = list(self.form.leaves), self.form.structure
        places = self.form.arrays

        def of_arrays(arrays: Sequence[Any]) -> Any:
            for place, value in zip(places, arrays, strict=True):
                leaves[place] = value
            return function(*jax.tree.unflatten(structure, leaves)[0])

        try:
            return jax.jit(of_arrays)([self.form.leaves[place] for place in places])
        except Exception:
            return function(*self.primals)


def floating(tree: Any) -> list[Any]:
    """Return the floating arrays among some outputs."""
    return [leaf for leaf in jax.tree.leaves(tree) if _is_float(leaf)]


def _is_float(leaf: Any) -> bool:
    if isinstance(leaf, float):
        return True
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def held_dtype(leaf: Any) -> Any:
    """Return the dtype in which JAX holds a leaf under the present setting of x64."""
    return jax.dtypes.canonicalize_dtype(dtype_of(leaf))


def inner(weights: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Return the sum of products of two lists of arrays."""
    terms = [jnp.sum(weight * each) for weight, each in zip(weights, outputs, strict=True)]
    return sum(terms[1:], terms[0])


def pull_back(rule: Rule, function: Function, floats: Sequence[Any], weights: Any) -> list[Any]:
    """Return the cotangents of the differentiated leaves, for cotangents of the outputs."""
    outputs, pull = jax.vjp(rule.of_floats(function), *floats)
    given = [jnp.asarray(w, out.dtype) for w, out in zip(weights, outputs, strict=True)]
    return list(pull(given))


def push_forward(rule: Rule, function: Function, floats: Any, moved: Any) -> list[Any]:
    """Return the outputs' tangents for tangents of the differentiated leaves."""
    given = [jnp.asarray(step, held_dtype(each)) for step, each in zip(moved, floats, strict=True)]
    primals = [jnp.asarray(each) for each in floats]
    return list(jax.jvp(rule.of_floats(function), primals, given)[1])


class Run(NamedTuple):
    """Arrays in float64, the eps that they are precise to, and the dtype of the program itself."""

    arrays: list[np.ndarray]
    eps: float
    computes: str


def in_float64(function: Function, *args: Any) -> Run:
    """Run a function of lists of arrays as a program in float64. Raises what tracing raises."""
    form = form_of(args, {}, 0)
    traced = Traced(function, form, form.arrays, twice=False)
    found = [np.asarray(each, np.float64) for each in traced.wide(form.leaves)]
    return Run(found, float(jnp.finfo(traced.precision).eps), traced.computes)


def wide(array: Any) -> np.ndarray:
    """Return an array in float64 on the host."""
    return as_array(array).astype(np.float64)


def farthest(found: Sequence[Any], expected: Sequence[Any], scales: Sequence[float]) -> float:
    """Return the largest gap between two lists of arrays, relative to each array's scale."""
    worst = 0.0
    for one, other, scale in zip(found, expected, scales, strict=True):
        first, second = wide(one), wide(other)
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        gap = float(np.where(same, 0.0, np.abs(first - second)).max(initial=0))
        worst = NAN if np.isnan(gap) else max(worst, gap / scale if scale > 0 else gap)
    return worst


def together(
    name: str, found: Sequence[Any], expected: Sequence[Any], scales: Sequence[float], eps: float
) -> Law:
    """Return the verdict on two lists of arrays that have to be the same."""
    return law_of(name, farthest(found, expected, scales), LAW_GATE * eps, "")


def law_of(name: str, error: float, allowed: float, reason: str) -> Law:
    """Return a law's verdict: it may be broken by rounding, and by no more."""
    return Law(name, "pass" if error <= allowed else "fail", error, reason)


def said(error: Exception) -> str:
    """Return an exception in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
