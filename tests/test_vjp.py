"""``check_vjp``: the laws of a backward rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jax_backprop import check_vjp


def scaled_tanh(x: Any, n: Any, y: Any) -> Any:
    return {"out": jnp.tanh(x @ y) * n, "count": n + 1}


def custom(rule: Callable[..., Any]) -> Any:
    """A jax.custom_vjp of ``scaled_tanh`` with a given rule from (n y-cotangent, x, n, y)."""

    @jax.custom_vjp
    def function(x: Any, n: Any, y: Any) -> Any:
        return scaled_tanh(x, n, y)

    def backward(kept: Any, cotangent: Any) -> Any:
        x, n, y = kept
        return rule(cotangent["out"] * n * (1 - jnp.tanh(x @ y) ** 2), x, n, y)

    function.defvjp(lambda *at: (function(*at), at), backward)
    return function


PRIMALS = (
    jax.random.normal(jax.random.key(0), (3, 4)),
    2,
    jax.random.normal(jax.random.key(1), (4, 2)),
)


def test_a_right_backward_rule_keeps_every_law() -> None:
    report = check_vjp(custom(lambda d, x, n, y: (d @ y.T, None, x.T @ d)), scaled_tanh, *PRIMALS)
    assert report.passed
    assert [row.path for row in report.rows] == ["params.0", "params.2"]
    assert {law.name: law.verdict for law in report.laws} == dict.fromkeys(
        ("adjoint", "linearity", "jit", "vmap", "scan", "second order"), "pass"
    )


ABSOLUTE = "the cotangent that arrives its absolute value"


@pytest.mark.parametrize(
    ("rule", "broken", "bug"),
    [
        (lambda d, x, n, y: (-d @ y.T, None, x.T @ d), {"adjoint"}, "sign"),
        (lambda d, x, n, y: (jnp.abs(d) @ y.T, None, x.T @ d), {"adjoint", "linearity"}, ABSOLUTE),
    ],
    ids=["sign", "not linear"],
)
def test_a_wrong_backward_rule_breaks_its_laws(rule: Any, broken: set[str], bug: str) -> None:
    report = check_vjp(custom(rule), scaled_tanh, *PRIMALS)
    assert not report.passed
    assert {law.name for law in report.laws if law.verdict == "fail"} == broken
    assert report.diagnosis[0].bug == bug


def test_a_rule_of_another_shape_or_function_is_a_complaint() -> None:
    shape = check_vjp(custom(lambda d, x, n, y: (y @ d.T, None, x.T @ d)), scaled_tanh, *PRIMALS)
    assert shape.complaint is not None
    assert "shapes do not match" in shape.complaint.message
    right = custom(lambda d, x, n, y: (d @ y.T, None, x.T @ d))

    def another(x: Any, n: Any, y: Any) -> Any:
        return scaled_tanh(1.1 * x, n, y)

    value = check_vjp(right, another, *PRIMALS)
    assert value.complaint is not None
    assert value.complaint.kind == "value"
