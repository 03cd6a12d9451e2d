"""The hash of what a function computes: its jaxpr, with the constants of every jaxpr inside."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from jax_backprop.errors import InputError
from jax_backprop.types import Dataset

_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+|\bid=\d+")
# How a program is named or differentiated; it has been differentiated by then.
_WITHOUT_EFFECT = (
    "name",
    "debug_info",
    "jvp_jaxpr_fun",
    "jvp_jaxpr_thunk",
    "fwd_jaxpr_thunk",
    "bwd",
    "out_trees",
    "policy",
)


def fingerprint(what: str, function: Callable[..., Any], *args: Any) -> str:
    """Return the SHA-256 of what a function computes on arguments of these shapes and types.

    Two functions that are traced to the same operations on the same constants give the same hash,
    whatever their names; an array that the function closes over counts by its bytes, also inside
    ``jit``, ``scan`` or ``cond``.

    Args:
      what: the function's role, for the error.
      function: a pure function that JAX can trace.
      args: arrays, or ``jax.ShapeDtypeStruct``.

    Raises:
      InputError: it calls back into Python, or the trace holds an object without stable contents.
    """
    traced = jax.make_jaxpr(function)(*args)
    digest = _Digest(what)
    digest.closed(traced)
    return digest.hexdigest()


def data_hash(data: Dataset) -> str:
    """Return the SHA-256 of a data set's arrays, with their types and shapes, and its scaling."""
    digest = hashlib.sha256(repr((data.scaling, data.classes)).encode())
    for batch in data.splits.values():
        for array in map(np.asarray, jax.tree.leaves(batch)):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _Digest:
    """A SHA-256 that is fed a jaxpr, its variables numbered in the order of their appearance."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._sha256 = hashlib.sha256()

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()

    def closed(self, program: ClosedJaxpr) -> None:
        self.value(list(program.consts))
        self.jaxpr(program.jaxpr)

    def jaxpr(self, jaxpr: Jaxpr) -> None:
        numbers: dict[Var, int] = {}

        def variable(var: Any) -> None:
            if isinstance(var, Literal):
                self.text("literal", var.aval)
                self.value(var.val)
            else:
                self.text("variable", numbers.setdefault(var, len(numbers)), var.aval)

        for var in (*jaxpr.constvars, *jaxpr.invars):
            variable(var)
        for equation in jaxpr.eqns:
            self.equation(equation)
            for var in (*equation.invars, *equation.outvars):
                variable(var)
        for var in jaxpr.outvars:
            variable(var)

    def equation(self, equation: JaxprEqn) -> None:
        name = equation.primitive.name
        if "callback" in name:
            raise _unidentified(self._what, f"{name}, a call back into Python")
        self.text("equation", name)
        kept = {key: v for key, v in equation.params.items() if key not in _WITHOUT_EFFECT}
        self.value(kept)

    def value(self, value: Any) -> None:
        """Feed a constant, or a parameter of an operation."""
        if isinstance(value, ClosedJaxpr):
            self.closed(value)
        elif isinstance(value, Jaxpr):
            self.jaxpr(value)
        elif isinstance(value, Mapping):
            self.text("mapping", len(value))
            for key in sorted(value, key=repr):
                self.text(key)
                self.value(value[key])
        elif isinstance(value, list | tuple):
            self.text("sequence", len(value))
            for each in value:
                self.value(each)
        elif isinstance(value, jax.Array | np.ndarray | np.generic):
            self.array(value)
        elif _is_of_jax(value):
            self.text("function", value.__module__, value.__qualname__)
        else:
            self.text("value", value)

    def array(self, array: Any) -> None:
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            self.text(array.dtype)
            array = jax.random.key_data(array)
        found = np.asarray(array)
        self.text("array", found.dtype, found.shape)
        self._sha256.update(np.ascontiguousarray(found).tobytes())

    def text(self, *values: Any) -> None:
        for value in values:
            text = repr(value) if not hasattr(value, "str_short") else _aval(value)
            if found := _ADDRESS.search(text):
                raise _unidentified(self._what, f"{text[:80]} (an address, {found.group()})")
            self._sha256.update(text.encode() + b"\0")


def _is_of_jax(value: Any) -> bool:
    """Tell whether this is one of JAX's own functions, which JAX's version identifies."""
    module = getattr(value, "__module__", None) or ""
    plain = hasattr(value, "__qualname__") and not getattr(value, "__closure__", ())
    return plain and module.startswith(("jax.", "jaxlib."))


def _aval(aval: Any) -> str:
    return f"{aval.str_short()} {getattr(aval, 'weak_type', False)}"


def _unidentified(what: str, found: str) -> InputError:
    return InputError(
        what,
        got=found,
        expected="a function whose trace says all that decides its results",
        remedy='Give the sweep a name for what you run, identity="...", and change it whenever the '
        "functions change; or leave `out` away.",
    )
