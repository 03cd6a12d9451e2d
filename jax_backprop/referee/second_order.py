"""Second derivatives: a rule and a gradient are differentiated once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.referee.case import Case, judged_context
from jax_backprop.referee.report import Law
from jax_backprop.referee.rule import (
    LAW_GATE,
    NAN,
    Function,
    Rule,
    Run,
    farthest,
    in_float64,
    inner,
    law_of,
    pull_back,
    said,
)

SECOND = 1e-6  # relative, in float64: second derivatives that are the same


def of_rule(rule: Rule, order: int | None) -> Law | None:
    """The derivative of the pull-back is that of the reference's."""
    if order == 1:
        return None

    def second(function: Function) -> Function:
        moved = rule.draw(8, rule.floats)

        def derivative(at: Any, weights: Any) -> Any:
            def along(floats: Any) -> Any:
                return inner(moved, pull_back(rule, function, floats, weights))

            return jax.grad(along)([jnp.asarray(each) for each in at])

        return derivative

    return _compared_second(
        lambda: in_float64(second(rule.function), rule.floats, rule.cotangent),
        lambda: in_float64(second(rule.reference), rule.floats, rule.cotangent),
        order,
    )


def _compared_second(
    hand: Callable[[], Run], truth: Callable[[], Run], order: int | None
) -> Law | None:
    try:
        expected, found = truth(), hand()
    except Exception as error:
        if order != 2:
            return None  # it wasn't claimed
        return Law("second order", "undecided", NAN, f"can't be asked: {said(error)}")
    if not all(np.isfinite(each).all() for each in expected.arrays):
        return Law(
            "second order", "undecided" if order == 2 else "-", NAN, "autodiff's isn't finite"
        )
    whole = max((float(np.abs(each).max(initial=0)) for each in expected.arrays), default=0.0)
    scales = [max(float(np.abs(each).max(initial=0)), 1e-9 * whole) for each in expected.arrays]
    worst = farthest(found.arrays, expected.arrays, scales)
    allowed = max(SECOND, LAW_GATE * max(expected.eps, found.eps))
    return law_of("second order", worst, allowed, "")


def of_gradient(case: Case) -> tuple[Law, ...]:
    """Judge the derivative of a gradient: of its product with a random direction."""
    generator = np.random.default_rng([case.options.seed, 11])
    moved = [generator.normal(size=np.shape(leaf.value)) for leaf in case.leaves]
    floats = [leaf.value for leaf in case.leaves]

    def derivative(grads_of: Callable[[Case, list[Any]], list[Any]]) -> Function:
        def along(at: list[Any]) -> Any:
            grads = grads_of(case, case.form.filled(at))
            weights = [jnp.asarray(m, g.dtype) for m, g in zip(moved, grads, strict=True)]
            return inner(weights, grads)

        return jax.grad(along)

    with judged_context(case.form, case.options.precision):
        law = _compared_second(
            lambda: in_float64(derivative(_judged), floats),
            lambda: in_float64(derivative(_autodiff), floats),
            2,
        )
    return () if law is None else (law,)


def _judged(case: Case, leaves: list[Any]) -> list[Any]:
    args, keywords = case.form.arguments(leaves)
    found = case.options.gradient_of(case.gradient_function(*args, **keywords))
    pairs = zip(case.form.places, case.form.params.flatten_up_to(found), strict=True)
    judged = {leaf.position for leaf in case.leaves}
    return [
        jnp.zeros(np.shape(case.form.leaves[at])) if entry is None else jnp.asarray(entry)
        for at, entry in pairs
        if at in judged
    ]


def _autodiff(case: Case, leaves: list[Any]) -> list[Any]:
    def loss(floats: list[Any]) -> Any:
        args, keywords = case.form.arguments(case.form.filled(floats, leaves))
        found = case.loss_function(*args, **keywords)
        return jnp.asarray(found[0] if case.options.has_aux else found)

    return jax.grad(loss)([jnp.asarray(leaves[leaf.position]) for leaf in case.leaves])
