"""A program's constants as they were before its dtype rounded them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jax_backprop.referee.subprograms import aval, is_float, is_real, nested, opened


class Constants:
    """The constants of a program as another trace, in float64, has them: unrounded.

    Args:
      literals: values by the identity of the literal.
      exact: every constant that isn't a short number was found.
    """

    def __init__(self, closed: ClosedJaxpr, other: ClosedJaxpr | None) -> None:
        self.literals: dict[int, Any] = {}
        self.consts = list(closed.consts)
        self._unknown = False
        self._match(closed.jaxpr, None if other is None else other.jaxpr)
        theirs = [] if other is None else other.consts
        same = len(theirs) == len(closed.consts)
        for number, value in enumerate(closed.consts):
            found = _nearby(value, theirs[number]) if same else None
            self.consts[number] = value if found is None else found
            self._unknown |= found is None and _is_rounded(value)
        self.exact = not self._unknown

    def _match(self, jaxpr: Jaxpr, other: Jaxpr | None) -> None:
        theirs = [] if other is None else other.eqns
        same = [one.primitive.name for one in jaxpr.eqns] == [two.primitive.name for two in theirs]
        for number, equation in enumerate(jaxpr.eqns):
            beside = theirs[number] if same else None
            self._literals(equation, beside)
            inner, inside = list(nested(equation)), list(nested(beside)) if beside else []
            for place, each in enumerate(inner):
                self._match(
                    opened(each), opened(inside[place]) if len(inside) == len(inner) else None
                )

    def _literals(self, equation: JaxprEqn, beside: JaxprEqn | None) -> None:
        atoms = beside.invars if beside else []
        for place, atom in enumerate(equation.invars):
            if not isinstance(atom, Literal) or not is_real(aval(atom).dtype):
                continue
            other = atoms[place] if len(atoms) == len(equation.invars) else None
            found = _nearby(atom.val, other.val) if isinstance(other, Literal) else None
            if found is not None:
                self.literals[id(atom)] = found
            self._unknown |= found is None and _is_rounded(atom.val)


def _nearby(value: Any, precise: Any) -> Any:
    """Return a constant in float64 if it may be what was rounded to the value, else None."""
    if not is_float(getattr(value, "dtype", np.asarray(value).dtype)):
        return None
    rounded, found = np.asarray(value, np.float64), np.asarray(precise)
    if found.dtype != np.float64 or found.shape != rounded.shape:
        return None
    with np.errstate(invalid="ignore"):
        near = np.abs(found - rounded) <= 2.0**-22 * np.abs(rounded)
    return found if np.all(near | ~np.isfinite(rounded)) else None


def _is_rounded(value: Any) -> bool:
    """Say if a constant has more binary digits than a short number's ten."""
    if not is_float(getattr(value, "dtype", np.asarray(value).dtype)):
        return False
    array = np.asarray(value).astype(np.float64)
    scaled = np.frexp(array[np.isfinite(array)])[0] * 1024
    return bool(np.any(scaled != np.round(scaled)))
