"""Functions of symbols that the definitions take: e^x, the logarithm, any number at all."""

from __future__ import annotations

import sympy


class E(sympy.Function):
    """e^x as a symbol that is its own derivative.

    sympy's own exp merges products, e^a e^b to e^(a + b), and then can't tell that a sum of
    fractions vanishes; the identities proven here need of e^x no more than its derivative.
    """

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """Return the derivative: itself."""
        return self


log = sympy.log
ANY_NUMBER = sympy.Symbol("m", real=True)
