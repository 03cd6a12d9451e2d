"""What is judged: any function of any pytree, traceable by JAX or not, in any floating dtype."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError

Function = Callable[..., Any]
DOWNCAST = re.compile(r"new_dtype=(float32|bfloat16|float16|float8\w*)\b")
ADDRESS = re.compile(r"0x[0-9a-f]+")


class Leaf(NamedTuple):
    """One floating leaf of the parameters: where it lies among all leaves, and its value."""

    path: str
    position: int
    value: Any

    @property
    def array(self) -> np.ndarray:
        """Its value in float64, on the host."""
        return np.asarray(self.value).astype(np.float64)


def is_floating(leaf: Any) -> bool:
    """Say if a leaf is differentiated: float16, bfloat16, float32, float64."""
    return bool(jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating))


def floating_leaves(params: Any) -> list[Leaf]:
    """Return the leaves that have a gradient. Raises InputError where there is none, or no point.

    Integer and boolean leaves have none; complex ones are refused.
    """
    found = []
    for position, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        name = leaf_name("params", path)
        array = np.asarray(leaf)
        if array.dtype.kind in "cOUS":
            raise InputError(
                f"parameters, {name}",
                got=f"an array of dtype {array.dtype}",
                expected="real numbers",
                remedy="Split complex parameters into real and imaginary part.",
            )
        if not is_floating(leaf):
            continue
        if not np.isfinite(array.astype(np.float64)).all():
            raise InputError(
                f"parameters, {name}",
                got="a value that is not finite",
                expected="a point at which the loss can be differentiated",
                remedy="Give other parameters.",
            )
        found.append(Leaf(name, position, leaf))
    if not found:
        raise InputError(
            "parameters",
            got=f"a pytree without a floating leaf: {jax.tree.structure(params)}",
            expected="at least one array of floats",
            remedy="Convert integers with .astype(float).",
        )
    return found


def leaf_name(root: str, path: Any) -> str:
    """Return a leaf's path as it is written in reports, such as ``params.0.weights``."""
    return ".".join(filter(None, (root, jax.tree_util.keystr(path, simple=True, separator="."))))


def to_dtype(tree: Any, dtype: str) -> Any:
    """Return a pytree with every floating array in one dtype, as JAX arrays (float64 needs x64)."""

    def cast(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return jnp.asarray(array, dtype) if is_floating(array) else jnp.asarray(leaf)

    return jax.tree.map(cast, tree)


def to_host_dtype(tree: Any, dtype: str) -> Any:
    """Do the same for a function that JAX can't trace: each leaf keeps its kind, others pass."""

    def cast(leaf: Any) -> Any:
        if isinstance(leaf, float) or not isinstance(leaf, np.ndarray | np.generic | jax.Array):
            return leaf
        if not is_floating(leaf):
            return leaf
        return leaf.astype(dtype)

    return jax.tree.map(cast, tree)


class Traits(NamedTuple):
    """What can be done with a function.

    Args:
      traceable: JAX can compile and differentiate it.
      locked: the dtype that it computes in where it was asked for float64; empty if it obeys.
      steady: two traces of it are the same program; a difference of constants is randomness.
      why: what the traceable one lacked, for the report.
    """

    traceable: bool
    locked: str = ""
    steady: bool = True
    why: str = ""


def traits(function: Function, params: Any, args: tuple[Any, ...]) -> Traits:
    """Find out by tracing, without compiling, what a function can be asked."""
    for leaf in jax.tree.leaves(args):
        if not isinstance(leaf, np.ndarray | np.generic | jax.Array | int | float | bool):
            why = f"an argument holds a {type(leaf).__name__}, which functools.partial could bind"
            return Traits(traceable=False, why=why)
    shapes = _abstract((params, *args))
    leaves, structure = jax.tree.flatten(shapes)
    return _traits(
        hashable(function), tuple(leaves), structure, bool(jax.config.read("jax_enable_x64"))
    )


def hashable(function: Function) -> Function:
    """Return the function, wrapped if it can't be a key of a cache."""
    return function if isinstance(function, Hashable) else partial(function)


def _abstract(tree: Any) -> Any:
    def describe(leaf: Any) -> jax.ShapeDtypeStruct:
        array = np.asarray(leaf)
        return jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype))

    return jax.tree.map(describe, tree)


@lru_cache(maxsize=256)
def _traits(function: Function, leaves: tuple[Any, ...], structure: Any, _x64: bool) -> Traits:
    params, *args = jax.tree.unflatten(structure, leaves)
    try:
        first, second = (jax.make_jaxpr(_afresh(function))(params, *args) for _ in range(2))
    except Exception as error:
        return Traits(traceable=False, why=f"{type(error).__name__} while JAX traced it")
    return Traits(
        traceable=True, locked=_locked(function, params, args), steady=_same_program(first, second)
    )


def _afresh(function: Function) -> Function:
    """Return the function as one that JAX hasn't traced before: a trace is cached by identity."""
    return partial(function)


def _same_program(first: Any, second: Any) -> bool:
    """Compare two traces; addresses of functions in their text mean nothing."""
    if ADDRESS.sub("", str(first)) != ADDRESS.sub("", str(second)):
        return False
    pairs = zip(first.consts, second.consts, strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def _locked(function: Function, params: Any, args: list[Any]) -> str:
    """Return the dtype that a function falls back to when it is given float64, or ""."""

    def widened(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        wide = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.ShapeDtypeStruct(leaf.shape, jnp.float64 if wide else leaf.dtype)

    with jax.enable_x64(True):
        try:
            program = jax.make_jaxpr(_afresh(function))(*jax.tree.map(widened, (params, *args)))
        except Exception as error:
            return f"its own dtype ({type(error).__name__} with float64)"
    for value in program.out_avals:
        if jnp.issubdtype(value.dtype, jnp.floating) and value.dtype != jnp.float64:
            return str(value.dtype)
    inside = DOWNCAST.search(str(program))
    return inside.group(1) if inside else ""


@lru_cache(maxsize=256)
def jitted(function: Function) -> Function:
    """Return ``jax.jit(function)``, made once a function: compiled once a shape."""
    return jax.jit(function)


@lru_cache(maxsize=256)
def jitted_autodiff(loss: Function) -> Function:
    """Return ``jax.jit(jax.value_and_grad(loss))`` over the floating leaves, made once a loss.

    Integer leaves get a gradient of dtype float0, as JAX has it.
    """
    return jax.jit(jax.value_and_grad(loss, allow_int=True))


@lru_cache(maxsize=256)
def jitted_line(loss: Function) -> Function:
    """Return the compiled ``loss(params + t * direction, *args)`` for a row of t.

    ``steps`` has the leaves of params; those that don't move are zero.
    """

    def values(params: Any, steps: Any, offsets: jax.Array, *args: Any) -> jax.Array:
        def at(offset: jax.Array) -> jax.Array:
            moved = jax.tree.map(
                lambda leaf, step: leaf + offset * step if is_floating_aval(leaf) else leaf,
                params,
                steps,
            )
            return loss(moved, *args)

        return jax.lax.map(at, offsets)

    return jax.jit(values)


def is_floating_aval(leaf: Any) -> bool:
    """Say the same of a traced leaf."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))
