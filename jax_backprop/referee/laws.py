"""Laws that every backward rule keeps, whatever it is the rule of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.arrays import as_array, digits
from jax_backprop.referee.report import Law
from jax_backprop.referee.rule import (
    LAW_GATE,
    NAN,
    Rule,
    held_dtype,
    in_float64,
    law_of,
    pull_back,
    push_forward,
    said,
    together,
    wide,
)
from jax_backprop.referee.second_order import of_rule
from jax_backprop.referee.subprograms import narrowest

LAWS = ("adjoint", "linearity", "jit", "vmap", "scan", "forward", "second order")
UNSUPPORTED = ("callback", "vmap_method", "batching rule", "not implemented", "not supported")


def check_laws(rule: Rule, leave_out: Sequence[str], order: int | None) -> list[Law]:
    """Return a verdict a law: those of ``LAWS`` that aren't left out, and that can be asked."""
    pull = _Pull(rule)
    asked: dict[str, Callable[[], Law | None]] = {
        "adjoint": lambda: _adjoint(rule),
        "linearity": lambda: _linear(rule),
        "jit": lambda: pull.compiled(rule),
        "vmap": lambda: pull.on_rows(rule),
        "scan": lambda: pull.in_scan(rule),
        "forward": lambda: _forward(rule),
        "second order": lambda: of_rule(rule, order),
    }
    found = [ask() for name, ask in asked.items() if name not in leave_out]
    return [law for law in found if law is not None]


def _adjoint(rule: Rule) -> Law:
    """<ct, J v> = <J^T ct, v>, J v by the reference."""
    moved = rule.draw(8, rule.floats)
    try:
        pushed = in_float64(
            lambda at, v: push_forward(rule, rule.reference, at, v), rule.floats, moved
        )
        pulled = in_float64(
            lambda at, w: pull_back(rule, rule.function, at, w), rule.floats, rule.cotangent
        )
    except Exception as error:
        return Law("adjoint", "-", NAN, f"can't be asked: {said(error)}")
    left = _product(rule.cotangent, pushed.arrays)
    products = [_product([step], [grad]) for step, grad in zip(moved, pulled.arrays, strict=True)]
    right, scale = sum(products), sum(map(abs, products)) + abs(left)
    error = abs(left - right) / scale if scale > 0 else 0.0
    numbers = f"<ct, J v> = {left:.9g}, <J^T ct, v> = {right:.9g}"
    return law_of("adjoint", error, LAW_GATE * max(pushed.eps, pulled.eps), numbers)


def _product(first: Sequence[Any], second: Sequence[Any]) -> float:
    pairs = zip(first, second, strict=True)
    return float(sum(float(np.vdot(wide(a), wide(b))) for a, b in pairs))


def _linear(rule: Rule) -> Law:
    """The pull-back of 2 a - 3 b is 2 of a's less 3 of b's."""
    first, second = rule.cotangent, rule.draw(7, rule.cotangent)
    mixed = [2 * a - 3 * b for a, b in zip(first, second, strict=True)]

    def pull(at: Any, weights: Any) -> list[Any]:
        return pull_back(rule, rule.function, at, weights)

    try:
        own, other, found = (in_float64(pull, rule.floats, each) for each in (first, second, mixed))
    except Exception as error:
        return Law("linearity", "-", NAN, f"can't be asked: {said(error)}")
    expected = [2 * a - 3 * b for a, b in zip(own.arrays, other.arrays, strict=True)]
    scales = [
        2 * np.abs(a).max(initial=0) + 3 * np.abs(b).max(initial=0)
        for a, b in zip(own.arrays, other.arrays, strict=True)
    ]
    # In float32 the mixed cotangent itself is rounded.
    eps = max([found.eps, *(float(jnp.finfo(held_dtype(each)).eps) for each in rule.cotangent)])
    return together("linearity", found.arrays, expected, scales, eps)


class _Pull:
    """The pull-back as the function has it: compiled if it can be."""

    def __init__(self, rule: Rule) -> None:
        def pull(floats: Any, weights: Any) -> list[Any]:
            return pull_back(rule, rule.function, floats, weights)

        self.plain, self.run, self.raised = pull, jax.jit(pull), None
        try:
            closed = jax.make_jaxpr(pull)(rule.floats, rule.cotangent)
            self.run(rule.floats, rule.cotangent)
            computes = narrowest(closed.jaxpr)
        except Exception as error:
            self.run, self.raised, computes = pull, error, "float32"
        dtypes = [str(held_dtype(each)) for each in (*rule.floats, *rule.cotangent)]
        self.eps = float(jnp.finfo(min([*dtypes, computes], key=digits)).eps)

    def compiled(self, rule: Rule) -> Law:
        """The same in a compiled program as in float64, where the formula was judged."""
        if self.raised is not None:
            return _raised("jit", self.raised)
        found = self.run(rule.floats, rule.cotangent)
        try:
            expected = in_float64(self.plain, rule.floats, rule.cotangent).arrays
        except Exception:
            expected = self.plain(rule.floats, rule.cotangent)
        return self.same("jit", found, expected)

    def on_rows(self, rule: Rule) -> Law:
        """Two rows at once, each with primals and a cotangent of its own."""
        near = [
            jnp.asarray(as_array(each) * (1 + 0.1 * wide(step)), held_dtype(each))
            for each, step in zip(rule.floats, rule.draw(9, rule.floats), strict=True)
        ]
        points = [(rule.floats, rule.cotangent), (near, rule.draw(7, rule.cotangent))]
        expected = [self.run(*point) for point in points]
        stacked = jax.tree.map(_stack, *points)
        run = jax.vmap(self.plain)
        try:
            found = (run if self.raised is not None else jax.jit(run))(*stacked)
        except Exception as error:
            return _raised("vmap", error)
        return self.same("vmap", found, list(map(_stack, *expected)))

    def in_scan(self, rule: Rule) -> Law:
        """The function as the only step of a loop."""
        own = rule.of_floats(rule.function)

        def scanned(*floats: Any) -> list[Any]:
            _, rows = jax.lax.scan(lambda carry, _: (carry, own(*floats)), 0, None, length=1)
            return [row[0] for row in rows]

        def pull(floats: Any, weights: Any) -> list[Any]:
            outputs, back = jax.vjp(scanned, *floats)
            return list(back([w.astype(o.dtype) for w, o in zip(weights, outputs, strict=True)]))

        run = pull if self.raised is not None else jax.jit(pull)
        try:
            found = run(rule.floats, rule.cotangent)
        except Exception as error:
            return _raised("scan", error)
        return self.same("scan", found, self.run(rule.floats, rule.cotangent))

    def same(self, name: str, found: Sequence[Any], expected: Sequence[Any]) -> Law:
        """Compare two lists of arrays, relative to each array's largest number."""
        scales = [float(np.abs(each).max(initial=0)) for each in map(wide, expected)]
        return together(name, found, expected, scales, self.eps)


def _stack(*rows: Any) -> Any:
    return jnp.stack([jnp.asarray(row) for row in rows])


def _raised(name: str, error: Exception) -> Law:
    text = f"{type(error).__name__}: {error}".lower()
    if isinstance(error, NotImplementedError) or any(each in text for each in UNSUPPORTED):
        return Law(name, "-", NAN, f"isn't supported: {said(error)}")
    return Law(name, "fail", NAN, f"raises {said(error)}")


def _forward(rule: Rule) -> Law | None:
    """J v by the function's own forward rule, where it has one, is the reference's."""
    moved = rule.draw(8, rule.floats)
    try:
        expected = in_float64(
            lambda at, v: push_forward(rule, rule.reference, at, v), rule.floats, moved
        )
        found = in_float64(
            lambda at, v: push_forward(rule, rule.function, at, v), rule.floats, moved
        )
    except Exception:
        return None  # a jax.custom_vjp has none
    scales = [float(np.abs(each).max(initial=0)) for each in expected.arrays]
    eps = max(expected.eps, found.eps)
    return together("forward", found.arrays, expected.arrays, scales, eps)
