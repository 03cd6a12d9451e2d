"""The referee on anybody's function: traceable or not, any pytree, any dtype, any mistake."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_numpy_functions import exponentials, exponentials_gradient, numpy_point

from jax_backprop import (
    InputError,
    assert_gradient,
    assert_value_and_grad,
    assert_vjp,
    check_gradient,
    check_value_and_grad,
)
from jax_backprop.referee import Report

X = jnp.arange(1.0, 5.0)


def cubes(x: Any) -> Any:
    return jnp.sum(x**3)


def squares(x: Any) -> Any:
    return 3 * x**2


def referees(report: Report) -> dict[str, str]:
    (row,) = report.rows
    return row.referees


def test_bfloat16_is_judged_beside_autodiff_in_bfloat16() -> None:
    point = X.astype(jnp.bfloat16)
    assert check_gradient(cubes, squares, point).passed
    wrong = check_gradient(cubes, lambda x: squares(x) * jnp.bfloat16(1.5), point)
    assert not wrong.passed


def test_a_loss_that_casts_to_float32_is_judged_in_float64_all_the_same() -> None:
    def locked(x: Any) -> Any:
        return cubes(x.astype(jnp.float32))

    report = check_gradient(locked, squares, X)
    assert report.passed
    assert set(referees(report).values()) == {"pass"}
    assert not check_gradient(locked, lambda x: 1.01 * squares(x), X).passed


def test_a_gradient_that_casts_to_float32_is_judged_in_float64_all_the_same() -> None:
    def kernel(x: Any) -> Any:
        return squares(x.astype(jnp.float32)).astype(x.dtype)

    report = check_gradient(cubes, kernel, X)
    assert set(referees(report).values()) == {"pass"}
    wrong = check_gradient(cubes, lambda x: 1.001 * kernel(x), X)
    assert referees(wrong)["differences"] == "fail"
    assert wrong.diagnosis[0].bug == "factor"


def test_lost_precision_is_told_from_a_wrong_formula() -> None:
    def cancelling(x: Any) -> Any:
        return 3 * ((x + 1e3) ** 2 - 1e6 - 2e3 * x)

    report = check_gradient(cubes, cancelling, X / 3)
    assert not report.passed
    assert report.diagnosis[0].bug == "precision"
    assert report.rows[0].float64.worst < 1e-8
    assert report.rows[0].hand_error.worst > 1e-3


def test_rounding_like_that_of_the_arguments_is_no_mistake() -> None:
    """A softmax by z - logsumexp(z) at z = 900 is off by 900 eps; a billionth more isn't."""
    z = np.array([[900.0, 901.0, 899.0], [-800.0, -803.0, -801.0]])

    def loss(z: Any) -> Any:
        return jnp.sum(jax.nn.logsumexp(z, axis=1))

    def softmax(z: Any) -> Any:
        return jnp.exp(z - jax.nn.logsumexp(z, axis=1, keepdims=True))

    with jax.enable_x64(True):
        assert check_gradient(loss, softmax, z).passed
        assert not check_gradient(loss, lambda z: softmax(z) * (1 + 1e-9), z).passed


def test_empty_leaves_and_complex_numbers_in_between_warn_of_nothing() -> None:
    def loss(p: Any) -> Any:
        return jnp.sum(jnp.abs(jnp.fft.rfft(p["x"])) ** 2) + jnp.sum(p["empty"])

    def gradient(p: Any) -> Any:
        found = jnp.fft.rfft(p["x"]) * jnp.array([2.0, 4.0, 2.0])
        return {"x": 4 * jnp.fft.irfft(found / 2, 4), "empty": p["empty"]}

    x = np.random.default_rng(0).normal(size=4).astype(np.float32)
    params = {"x": x, "empty": np.zeros((0, 3), np.float32)}
    right = check_gradient(loss, jax.grad(loss), params)
    assert right.passed
    assert not check_gradient(loss, gradient, params).passed


@pytest.mark.parametrize("none", [None, np.zeros((), jax.dtypes.float0), 0])
def test_integers_and_none_have_no_gradient(none: Any) -> None:
    params = {"x": X, "n": 3, "nothing": None}
    report = check_gradient(
        lambda p: p["n"] * jnp.sum(p["x"] ** 2),
        lambda p: {"x": 2 * p["n"] * p["x"], "n": none, "nothing": None},
        params,
    )
    assert report.passed
    assert [row.path for row in report.rows] == ["params.x"]


@pytest.mark.parametrize("pair", [tuple, list])
def test_a_python_float_without_a_gradient_is_not_judged(pair: type) -> None:
    loss = lambda p: p["s"] * jnp.sum(p["x"])  # noqa: E731
    gradient = lambda p: pair((loss(p), {"x": p["s"] * jnp.ones(4), "s": None}))  # noqa: E731
    report = check_value_and_grad(loss, gradient, {"x": X, "s": 2.0})
    assert report.passed and [row.path for row in report.rows] == ["loss", "params.x"]


def test_a_gradient_of_an_integer_is_a_complaint() -> None:
    report = check_gradient(
        lambda p: p["n"] * jnp.sum(p["x"]),
        lambda p: {"x": p["n"] * jnp.ones(4), "n": jnp.sum(p["x"])},
        {"x": X, "n": 3},
    )
    assert report.complaint is not None
    assert report.complaint.kind == "structure"
    assert "has no gradient" in report.complaint.message


@pytest.mark.parametrize("at_kink", [0.0, 1.0])
def test_either_derivative_at_a_kink_passes_and_others_are_wrong(at_kink: float) -> None:
    weights, point = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, -1.0])

    def loss(x: Any) -> Any:
        return jnp.sum(jnp.maximum(x, 0) * weights)

    def gradient(x: Any, between: float = at_kink) -> Any:
        return jnp.where(x > 0, 1.0, jnp.where(x == 0, between, 0.0)) * weights

    report = check_gradient(loss, gradient, point)
    assert report.passed
    for outside in (2.0, 5.0):
        assert not check_gradient(loss, lambda x, at=outside: gradient(x, at), point).passed
    assert not check_gradient(loss, lambda x: -gradient(x), point).passed


def test_randomness_is_a_complaint_whether_traced_or_not() -> None:
    generator = np.random.default_rng(0)
    traced = check_gradient(cubes, lambda x: squares(x) + generator.normal(), X)
    called = check_gradient(
        lambda p, x: exponentials(p, x) + generator.normal(), exponentials_gradient, *numpy_point()
    )
    for report in (traced, called):
        assert report.complaint is not None
        assert report.complaint.kind == "nondeterminism"
        assert not report.rows


def test_what_the_loss_holds_by_stop_gradient_is_held_in_differences_too() -> None:
    def loss(x: Any) -> Any:
        return jnp.sum(jax.lax.stop_gradient(x) * x)

    report = check_gradient(loss, lambda x: x, X)
    assert report.passed
    assert "stop_gradient" in report.notes[0]
    assert check_gradient(loss, lambda x: 2 * x, X).verdict == "fail"


@pytest.mark.parametrize(
    ("params", "loss", "message"),
    [
        (jnp.arange(3), cubes, "no array of floats"),
        (X.astype(complex), cubes, "real numbers"),
        (X / 0, cubes, "not finite"),
        (X, lambda x: x, r"float32\[4\]; expected one real number"),
        (-X, lambda x: jnp.sum(jnp.log(x)), "got nan; expected a finite value"),
        (X, lambda x: x.nonsense, "AttributeError"),
    ],
)
def test_what_cannot_be_judged_is_the_callers_mistake(params: Any, loss: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_gradient(loss, squares, params)


def test_a_slow_function_stays_within_its_budget() -> None:
    calls = []

    def slow(params: dict[str, np.ndarray], inputs: np.ndarray) -> float:
        calls.append(1)
        return exponentials(params, inputs)

    report = check_gradient(slow, exponentials_gradient, *numpy_point(), budget=1e-9)
    assert report.passed
    assert len(calls) < 130  # one direction a leaf
    assert "1 of 3 directions" in report.notes[-1]


def test_a_spent_budget_leaves_the_search_for_a_name_out() -> None:
    report = check_gradient(cubes, lambda x: -squares(x), X, budget=1e-9)
    assert (report.diagnosis[0].bug, report.diagnosis[0].place) == ("sign", "")


def test_integers_of_numpy_are_those_that_were_traced() -> None:
    places = np.array([3, 0, 3])  # int64, which JAX takes for int32

    def loss(x: Any, places: Any) -> Any:
        return jnp.sum(x[places] ** 2)

    def gradient(x: Any, places: Any) -> Any:
        return jnp.zeros_like(x).at[places].add(2 * x[places])

    assert check_gradient(loss, gradient, X, places).passed
    assert not check_gradient(loss, lambda x, at: gradient(x, at[1:]), X, places).passed


def test_assert_gradient_shows_the_report() -> None:
    assert_gradient(cubes, squares, X)
    with pytest.raises(AssertionError) as failure:
        assert_gradient(cubes, lambda x: -squares(x), X)
    for text in ("verdict: FAIL", "params", "autodiff", "taylor", "its sign flipped"):
        assert text in str(failure.value)


def test_values_and_backward_rules_have_such_a_test_too() -> None:
    assert_value_and_grad(cubes, lambda x: (cubes(x), squares(x)), X)
    with pytest.raises(AssertionError, match="the value is not the loss's"):
        assert_value_and_grad(cubes, lambda x: (cubes(x) + 1, squares(x)), X)
    cubed = jax.custom_vjp(lambda x: x**3)
    cubed.defvjp(lambda x: (x**3, x), lambda x, d: (3 * x**2 * d,))
    assert_vjp(cubed, lambda x: x**3, X)
    cubed.defvjp(lambda x: (x**3, x), lambda x, d: (2 * x**2 * d,))
    with pytest.raises(AssertionError, match="verdict: FAIL"):
        assert_vjp(cubed, lambda x: x**3, X)


def test_a_report_is_plain_data_too() -> None:
    plain = check_value_and_grad(cubes, lambda x: (cubes(x), -squares(x)), X).to_dict()
    assert plain["verdict"] == "fail"
    assert [row["path"] for row in plain["rows"]] == ["loss", "params"]
    assert plain["rows"][1]["autodiff"]["r2"] == 2
    assert plain["rows"][0]["directional"]["slope"] is None
    assert plain["diagnosis"][0]["bug"] == "sign"


def test_a_leaf_that_is_tiny_beside_others_is_judged_at_its_own_size() -> None:
    """Where steps of 1 would be wild: an error of a thousandth in a slope of 1e8."""
    x = np.random.default_rng(86).normal(size=3)
    params = {"tiny": 1e-8 * np.array([0.3, -1.2, 0.7]), "huge": 1e3 * np.array([1.0, 0.4, -2.0])}

    def loss(p: Any) -> Any:
        return jnp.sum(jnp.sin(p["tiny"] * 1e8 * x + p["huge"] * 1e-3))

    def gradient(p: Any, slope: float) -> Any:
        d = jnp.cos(p["tiny"] * 1e8 * x + p["huge"] * 1e-3)
        return {"tiny": slope * d * x, "huge": 1e-3 * d}

    with jax.enable_x64(True):
        assert check_gradient(loss, lambda p: gradient(p, 1e8), params).passed
        wrong = check_gradient(loss, lambda p: gradient(p, 1.001e8), params)
    assert [row.verdict for row in wrong.rows] == ["pass", "fail"]
