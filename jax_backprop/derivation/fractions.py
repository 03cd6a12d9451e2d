"""Whether a fraction of polynomials is identically 0, by arithmetic of polynomials alone.

Denominators stay products of their factors, none of them multiplied out or cancelled: sympy's
``together`` and ``expand`` come to the same verdict and take longer.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import sympy
from sympy.polys.rings import PolyElement, PolyRing


class Fraction(NamedTuple):
    """A numerator over a product of factors, each to a power."""

    numerator: PolyElement
    factors: Counter[PolyElement]


def is_zero(expression: sympy.Expr | int) -> bool:
    """Whether an expression is 0 for all values of its symbols; False may mean "not proven"."""
    expression = sympy.sympify(expression)
    if not expression.is_rational_function(*expression.free_symbols):
        return sympy.expand(sympy.fraction(sympy.together(expression))[0]) == 0
    symbols = sorted(expression.free_symbols, key=sympy.default_sort_key)
    if not symbols:
        return expression == 0
    ring = PolyRing(symbols, sympy.QQ)
    found: dict[sympy.Basic, Fraction] = dict(
        zip(symbols, (Fraction(each, Counter()) for each in ring.gens), strict=True)
    )
    return _fraction(expression, ring, found).numerator == 0


def _fraction(
    expression: sympy.Basic, ring: PolyRing, found: dict[sympy.Basic, Fraction]
) -> Fraction:
    """Return an expression as a fraction; ``found`` has its symbols', and takes its parts'."""
    if expression not in found:
        parts = [_fraction(part, ring, found) for part in expression.args[: _operands(expression)]]
        if expression.is_Add:
            found[expression] = _sum(parts, ring)
        elif expression.is_Mul:
            factors = sum((part.factors for part in parts), Counter())
            found[expression] = Fraction(ring.mul(*(part.numerator for part in parts)), factors)
        elif isinstance(expression, sympy.Pow):
            found[expression] = _power(parts[0], int(expression.exp), ring)
        else:
            found[expression] = Fraction(
                ring.ground_new(sympy.QQ.from_sympy(expression)), Counter()
            )
    return found[expression]


def _operands(expression: sympy.Basic) -> int:
    """Return how many arguments are fractions: of a power, its base alone."""
    return 1 if expression.is_Pow else len(expression.args)


def _sum(parts: list[Fraction], ring: PolyRing) -> Fraction:
    common: Counter[PolyElement] = Counter()
    for part in parts:
        common |= part.factors
    widened = (part.numerator * _product(common - part.factors, ring) for part in parts)
    return Fraction(ring.add(*widened), common)


def _power(base: Fraction, exponent: int, ring: PolyRing) -> Fraction:
    times = abs(exponent)
    numerator = base.numerator**times
    factors = Counter({factor: times * power for factor, power in base.factors.items()})
    if exponent >= 0:
        return Fraction(numerator, factors)
    return Fraction(_product(factors, ring), Counter({base.numerator: times}))


def _product(factors: Counter[PolyElement], ring: PolyRing) -> PolyElement:
    return ring.mul(*(factor**power for factor, power in factors.items()))
