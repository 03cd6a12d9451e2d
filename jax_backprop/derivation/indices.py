"""The printed equations in index notation, and what sympy finds free on a right side."""

from __future__ import annotations

from typing import TypeAlias

import sympy
from sympy import IndexedBase, KroneckerDelta, Symbol, exp, log

from jax_backprop.derivation.definitions import Function, Quantity

# A printed equation: its left side, then every side that it is said to equal.
Form: TypeAlias = tuple[Quantity, ...]

INDICES = {name: Symbol(name, integer=True) for name in "nhokji"}
SIZES = sympy.symbols("d H K", integer=True, positive=True)
BASES: Form = tuple(IndexedBase(name) for name in "iZOYLwb")
_every: list[Quantity] = [*INDICES.values(), *SIZES, *BASES]  # sympy's types don't know indexing
n, h, o, k, j, i, d, H, K, inputs, Z, O, Y, L, w, b = _every  # noqa: E741
E, Oh = Symbol("E"), Symbol("Oh")
NOTATION = {E, *SIZES, *(base.label for base in BASES)}
partial: Function = sympy.Function("partial")
Sum: Quantity = sympy.Sum

_slope = partial(log(Y[i]), Y[i]) * partial(Y[i], Z[k])
_rest = 1 - KroneckerDelta(i, k)  # the sum over i other than k
_by_logit = partial(E, Z[k])

PRINTED_FORMS: dict[int, Form] = {
    1: (Z[h], Sum(inputs[n] * w[n, h], (n, 1, d)) + b[h]),
    2: (O[h], 1 / (1 + exp(Z[h]))),
    3: (Z[o], Sum(O[n] * w[n, o], (n, 1, h)) + b[o]),
    4: (Y[o], exp(Z[o]) / Sum(exp(Z[j]), (j, 1, k))),
    5: (E, -Sum(L[i] * log(Y[i]), (i, 1, k))),
    6: (partial(E, w[h, k]), _by_logit * partial(Z[k], w[h, k])),
    7: (partial(Y[o], Z[k]), Y[k] * (1 - Y[j]), Y[k] * (1 - Y[k])),
    8: (partial(Y[o], Z[k]), -Y[j] * Y[k]),
    9: (_by_logit, -Sum(L[i] * _slope, (i, 1, k))),
    10: (_by_logit, -L[k] * partial(log(Y[k]), Y[k]) * partial(Y[k], Z[k]), -L[k] * (1 - Y[j])),
    11: (_by_logit, -Sum(_rest * L[i] * _slope, (i, 1, K)), Sum(_rest * L[i] * Y[j], (i, 1, K))),
    12: (_by_logit, -L[k] * (1 - Y[j]) + Sum(_rest * L[i] * Y[j], (i, 1, K))),
    13: (_by_logit, Y[j] * (L[k] + Sum(_rest * L[i], (i, 1, K))) - L[k]),
    14: (_by_logit, Y[j] - L[k], Y[k] - L[k]),
    15: (partial(Z[k], w[h, k]), O[h]),
    16: (partial(E, w[h, k]), _by_logit * partial(Z[k], w[h, k]), (Y[k] - L[k]) * O[h]),
    17: (
        partial(E, w[i, h]),
        _by_logit * partial(Z[k], O[h]) * partial(O[h], Z[h]) * partial(Z[h], w[i, h]),
    ),
    18: (partial(Z[k], O[h]), w[h, k]),
    19: (partial(O[h], Z[h]), O[h] * (1 - O[h])),
    20: (partial(Z[h], Z[h]), inputs[n]),
    21: (partial(E, w[i, h]), (Y[k] - L[k]) * w[h, k] * Oh * (1 - O[h]) * inputs[n]),
}

# What (7), (8), (10) and (11) print behind them: "when j = k" and so on.
CONDITIONS: dict[int, sympy.Basic] = {
    7: sympy.Eq(j, k),
    8: sympy.Ne(j, k),
    10: sympy.Eq(i, k),
    11: sympy.Ne(i, k),
}

CORRECTED_FORMS: dict[int, Form] = {
    3: (Z[k], Sum(O[h] * w[h, k], (h, 1, H)) + b[k]),
    4: (Y[k], exp(Z[k]) / Sum(exp(Z[j]), (j, 1, K))),
    5: (E, -Sum(L[k] * log(Y[k]), (k, 1, K))),
    7: (partial(Y[k], Z[k]), Y[k] * (1 - Y[k])),
    8: (partial(Y[o], Z[k]), -Y[o] * Y[k]),
    9: (_by_logit, -Sum(L[i] * _slope, (i, 1, K))),
    10: (_by_logit, -L[k] * (1 - Y[k])),
    11: (_by_logit, Sum(_rest * L[i] * Y[k], (i, 1, K))),
    12: (_by_logit, -L[k] * (1 - Y[k]) + Sum(_rest * L[i] * Y[k], (i, 1, K))),
    13: (_by_logit, Y[k] * (L[k] + Sum(_rest * L[i], (i, 1, K))) - L[k]),
    14: (_by_logit, Y[k] - L[k]),
    17: (
        partial(E, w[n, h]),
        Sum(_by_logit * partial(Z[k], O[h]), (k, 1, K))
        * partial(O[h], Z[h])
        * partial(Z[h], w[n, h]),
    ),
    20: (partial(Z[h], w[n, h]), inputs[n]),
    21: (
        partial(E, w[n, h]),
        Sum((Y[k] - L[k]) * w[h, k], (k, 1, K)) * O[h] * (1 - O[h]) * inputs[n],
    ),
}


def stray_symbols(form: Form) -> tuple[str, ...]:
    """Return what a form has on a right side without having introduced it, in order.

    An index that the left side doesn't carry and no sum binds; a symbol outside the notation; an
    index of the left side that a sum takes for its upper limit.
    """
    left, *sides = form
    stray: set[sympy.Basic] = set()
    limits: set[sympy.Basic] = set()
    for side in sides:
        plain = {each for each in side.free_symbols if isinstance(each, Symbol)}
        stray |= plain - left.free_symbols - NOTATION
        ends = {limit[2] for total in side.atoms(Sum) for limit in total.limits}
        limits |= ends & set(INDICES.values()) - stray
    return tuple(sorted([*map(str, stray), *(f"{index} as a sum's limit" for index in limits)]))


def renamed_indices(form: Form, condition: sympy.Basic = sympy.true) -> tuple[tuple[str, ...], ...]:
    """Return the indices of the left side alone, and of the right sides and condition alone."""
    left, *sides = form
    rest = condition.free_symbols.union(*(side.free_symbols for side in sides))
    known = set(INDICES.values())
    ours, theirs = left.free_symbols & known, rest & known
    return tuple(sorted(map(str, ours - theirs))), tuple(sorted(map(str, theirs - ours)))
