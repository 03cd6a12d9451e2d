"""A traced program in another precision: the draws, masks and choices that it made stay.

Tracing a function again with float64 arguments would give another function where it draws random
numbers or casts; so its equations are kept, and only the dtype that they compute in is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jax_backprop.referee.subprograms import (
    BOUND_TO_BITS,
    CALLBACKS,
    CALLS,
    aval,
    bind,
    inputs,
    is_float,
    opened,
)

Values = list[Any]
DTYPES = ("new_dtype", "dtype", "preferred_element_type")


class Widened:
    """One evaluation of a program in float64, or in another dtype.

    Args:
      held: dtypes in which parts of it had to stay.
      dtype: of all its floats; complex numbers have two of them.
      precise: constants in float64, by the identity of the literals that were rounded.
      frozen: values that ``stop_gradient`` is to return instead of its own, in order; where it is
        None, what it returned is added to ``stopped``.
    """

    def __init__(
        self,
        frozen: Sequence[Any] | None = None,
        dtype: str = "float64",
        precise: dict[int, Any] | None = None,
    ) -> None:
        self._precise = precise or {}
        self.dtype = np.dtype(dtype)
        self.held: set[str] = set()
        self.stopped: Values = []
        self.stops_in_loops = False
        self._frozen = None if frozen is None else iter(frozen)
        self._loops = 0

    def run(self, jaxpr: Jaxpr, consts: Sequence[Any], values: Sequence[Any]) -> Values:
        """Evaluate the equations; floats come and go in float64."""
        given = zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *values), strict=True)
        known: dict[Any, Any] = {v: self._cast(_of_kind(v, value)) for v, value in given}

        def read(atom: Any) -> Any:
            if isinstance(atom, Literal):
                value = np.asarray(atom.val, aval(atom).dtype)
                return self._cast(self._precise.get(id(atom), value))
            return known[atom]

        for equation in jaxpr.eqns:
            found = self._equation(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, map(self._cast, found), strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: JaxprEqn, values: Values) -> Values:
        name, params = equation.primitive.name, equation.params
        if name in CONTROL:
            return CONTROL[name](self, params, values)
        inner = next((params[each] for each in CALLS if each in params), None)
        if inner is not None and len(inputs(inner)) == len(values) and "reduce" not in name:
            return self._call(inner, values)
        if name == "stop_gradient":
            return [self._stop(values[0])]
        if name == "reduce_precision":
            return values
        if name == "convert_element_type":
            dtype, value = self._of(params["new_dtype"]), values[0]
            if jnp.iscomplexobj(value) and jnp.issubdtype(dtype, jnp.floating):
                value = jnp.real(value)  # what the conversion does, without its warning
            return [jax.lax.convert_element_type(value, dtype)]
        if not equation.outvars:
            return []  # it prints
        if name in BOUND_TO_BITS:
            return self._as_it_is(equation, values)
        try:
            return self._in_float64(equation, values)
        except (TypeError, ValueError, NotImplementedError):
            return self._as_it_is(equation, values)

    def _call(self, inner: Any, values: Values) -> Values:
        closed = isinstance(inner, ClosedJaxpr)
        return self.run(inner.jaxpr if closed else inner, inner.consts if closed else (), values)

    def body(self, inner: ClosedJaxpr) -> Callable[..., Values]:
        """Return a loop's or a branch's body as a function."""

        def run(*values: Any) -> Values:
            self._loops += 1
            found = self._call(inner, list(values))
            self._loops -= 1
            return found

        return run

    def _stop(self, value: Any) -> Any:
        if self._loops:
            self.stops_in_loops = True
        elif self._frozen is not None:
            return next(self._frozen)
        else:
            self.stopped.append(value)
        return value

    def _in_float64(self, equation: JaxprEqn, values: Values) -> Values:
        params = dict(equation.params)
        for key, value in params.items():
            if key in DTYPES and value is not None and is_float(np.dtype(value)):
                params[key] = self._of(value)
            elif isinstance(value, ClosedJaxpr | Jaxpr):
                params[key] = self._retraced(value)
        found = bind(equation, values, params)
        for variable, value in zip(equation.outvars, found, strict=True):
            if is_float(aval(variable).dtype) and value.dtype != self._of(value.dtype):
                self.held.add(str(value.dtype))
        return found

    def _as_it_is(self, equation: JaxprEqn, values: Values) -> Values:
        own = [
            jnp.asarray(value, aval(atom).dtype) if is_float(aval(atom).dtype) else value
            for value, atom in zip(values, equation.invars, strict=True)
        ]
        atoms = equation.invars
        if equation.primitive.name in CALLBACKS:
            atoms = [*atoms, *equation.outvars]
        # Random bits that are taken for floats are exact: no digit is lost by them.
        self.held |= {str(aval(atom).dtype) for atom in atoms if self._differs(aval(atom).dtype)}
        return bind(equation, own, dict(equation.params))

    def _retraced(self, inner: Any) -> Any:
        """Return a small inner program, such as the sum of a scatter, for this dtype."""
        jaxpr, consts = opened(inner), inner.consts if isinstance(inner, ClosedJaxpr) else ()
        shapes = [
            jax.ShapeDtypeStruct(aval(variable).shape, self._of(aval(variable).dtype))
            for variable in jaxpr.invars
        ]
        closed = jax.make_jaxpr(lambda *values: self.run(jaxpr, consts, values))(*shapes)
        return closed if isinstance(inner, ClosedJaxpr) else closed.jaxpr

    def _of(self, dtype: Any) -> Any:
        """Return what a dtype becomes."""
        if jnp.issubdtype(dtype, jnp.complexfloating):
            return np.dtype("complex128" if self.dtype == "float64" else "complex64")
        return self.dtype if jnp.issubdtype(dtype, jnp.floating) else dtype

    def _differs(self, dtype: Any) -> bool:
        return is_float(dtype) and dtype != self._of(dtype)

    def _cast(self, value: Any) -> Any:
        dtype = getattr(value, "dtype", None)
        if dtype is None:
            value = np.asarray(value)
            dtype = value.dtype
        return jnp.asarray(value, self._of(dtype)) if self._differs(dtype) else value


def _of_kind(variable: Any, value: Any) -> Any:
    """Return an integer in the dtype of its trace: NumPy's are of 64 bits, JAX's of 32."""
    dtype = aval(variable).dtype if hasattr(aval(variable), "dtype") else None
    whole = dtype is not None and jnp.issubdtype(dtype, jnp.integer)
    return jnp.asarray(value, dtype) if whole else value


def _scan(self: Widened, params: dict[str, Any], values: Values) -> Values:
    consts, carry = params["num_consts"], params["num_consts"] + params["num_carry"]
    body = self.body(params["jaxpr"])

    def step(state: Values, row: Values) -> tuple[Values, Values]:
        found = body(*values[:consts], *state, *row)
        return found[: carry - consts], found[carry - consts :]

    state, rows = jax.lax.scan(
        step,
        values[consts:carry],
        values[carry:],
        length=params["length"],
        reverse=params["reverse"],
    )
    return [*state, *rows]


def _while(self: Widened, params: dict[str, Any], values: Values) -> Values:
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition, body = self.body(params["cond_jaxpr"]), self.body(params["body_jaxpr"])
    return list(
        jax.lax.while_loop(
            lambda state: condition(*values[:first], *state)[0],
            lambda state: body(*values[first:second], *state),
            values[second:],
        )
    )


def _cond(self: Widened, params: dict[str, Any], values: Values) -> Values:
    branches = [self.body(branch) for branch in params["branches"]]
    return list(jax.lax.switch(values[0], branches, *values[1:]))


def _solve(self: Widened, params: dict[str, Any], values: Values) -> Values:
    lengths, solve = params["const_lengths"], params["jaxprs"].solve
    start = lengths.matvec + lengths.vecmat
    right_side = values[start + lengths.solve + lengths.transpose_solve :]
    return self._call(solve, [*values[start : start + lengths.solve], *right_side])


CONTROL = {"scan": _scan, "while": _while, "cond": _cond, "custom_linear_solve": _solve}
