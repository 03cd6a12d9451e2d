"""The programs within a program: loops, branches and calls, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

Aval = Any  # JAX types what a variable holds as a class without shape and dtype
# What depends on the bits of a dtype, or runs where its dtype can't be changed.
BOUND_TO_BITS = {
    *("bitcast_convert_type", "nextafter", "rng_uniform", "random_gamma", "pure_callback"),
    *("io_callback", "ffi_call", "pallas_call", "custom_partitioning", "shard_map"),
}
CALLBACKS = {"pure_callback", "io_callback"}
CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # the parameters that hold what a call calls


def narrowest(jaxpr: Jaxpr) -> str:
    """Return the floating dtype with the fewest digits in which a program computes."""
    dtypes = {np.dtype(aval.dtype) for aval in _avals(jaxpr) if is_real(aval.dtype)}
    return str(min(dtypes, key=lambda dtype: jnp.finfo(dtype).nmant, default="float64"))


def primitives(jaxpr: Jaxpr) -> Iterator[str]:
    """Yield the names of all primitives, those of inner programs as well."""
    for each in _programs(jaxpr):
        yield from (equation.primitive.name for equation in each.eqns)


def constants(jaxpr: Jaxpr) -> Iterator[Any]:
    """Yield the constants that inner programs hold."""
    for equation in jaxpr.eqns:
        for inner in nested(equation):
            if isinstance(inner, ClosedJaxpr):
                yield from inner.consts
            yield from constants(opened(inner))


def _avals(jaxpr: Jaxpr) -> Iterator[Any]:
    for each in _programs(jaxpr):
        for equation in each.eqns:
            if equation.primitive.name not in BOUND_TO_BITS:
                avals = [variable.aval for variable in equation.outvars]
                yield from (aval for aval in avals if hasattr(aval, "dtype"))


def _programs(jaxpr: Jaxpr) -> Iterator[Jaxpr]:
    yield jaxpr
    for equation in jaxpr.eqns:
        for inner in nested(equation):
            yield from _programs(opened(inner))


def nested(equation: JaxprEqn) -> Iterator[Any]:
    """Yield the programs among an equation's parameters."""
    leaves = jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda each: isinstance(each, ClosedJaxpr | Jaxpr)
    )
    return (leaf for leaf in leaves if isinstance(leaf, ClosedJaxpr | Jaxpr))


def opened(inner: Any) -> Jaxpr:
    """Return a program without its constants."""
    return inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner


def inputs(inner: Any) -> Sequence[Any]:
    """Return the variables that a program is given."""
    return opened(inner).invars if isinstance(inner, ClosedJaxpr | Jaxpr) else ()


def bind(equation: JaxprEqn, values: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Run an equation's operation on other values, with its own or other parameters."""
    bound = equation.primitive.get_bind_params(params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # by jax's version
    found = equation.primitive.bind(*functions, *values, **params)
    return list(found) if equation.primitive.multiple_results else [found]


def aval(atom: Any) -> Aval:
    """Return an atom's shape and dtype."""
    return atom.aval


def is_float(dtype: Any) -> bool:
    """Say if a dtype is one of rounded numbers, real or complex."""
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def is_real(dtype: Any) -> bool:
    """Say if a dtype is a real floating one."""
    return bool(jnp.issubdtype(dtype, jnp.floating))
