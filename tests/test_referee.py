"""The referee on anybody's function: traceable or not, any pytree, any dtype, any mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import (
    InputError,
    Network,
    assert_gradient,
    check_gradient,
    check_value_and_grad,
    check_vjp,
)
from jax_backprop.gradcheck import Report
from jax_backprop.gradcheck.elements import bisect
from jax_backprop.gradcheck.facts import Facts
from jax_backprop.gradcheck.general_bugs import GENERAL_BUGS, diagnose

X = jnp.arange(1.0, 5.0)


def cubes(x: Any) -> Any:
    return jnp.sum(x**3)


def squares(x: Any) -> Any:
    return 3 * x**2


def referees(report: Report) -> dict[str, str]:
    (row,) = report.rows
    return row.referees


def exponentials(params: dict[str, np.ndarray], inputs: np.ndarray) -> float:
    return float(np.sum(np.exp(inputs @ params["w"] + params["b"])))


def exponentials_gradient(params: dict[str, np.ndarray], inputs: np.ndarray) -> Any:
    values = np.exp(inputs @ params["w"] + params["b"])
    return {"w": inputs.T @ values, "b": values.sum(axis=0)}


def numpy_point() -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(0)
    params = {"w": 0.3 * generator.normal(size=(4, 3)), "b": np.zeros(3)}
    return params, generator.normal(size=(7, 4))


def test_a_numpy_function_is_judged_by_differences_and_slopes_alone() -> None:
    report = check_gradient(exponentials, exponentials_gradient, *numpy_point())
    assert report.passed
    for row in report.rows:
        assert row.referees == {
            "autodiff": "-",
            "float64": "-",
            "differences": "pass",
            "taylor": "pass",
        }
    assert "can't be traced" in report.notes[0]


@pytest.mark.parametrize(
    ("change", "bug"),
    [
        (lambda g: g | {"w": -g["w"]}, "sign"),
        (lambda g: {key: 7 * value for key, value in g.items()}, "sum_for_mean"),
        (lambda g: g | {"b": 0 * g["b"]}, "zero"),
        (lambda g: g | {"w": g["w"] + np.eye(4, 3) * np.eye(4, 1)}, "element"),
    ],
)
def test_a_wrong_numpy_gradient_is_bisected_and_named(change: Any, bug: str) -> None:
    report = check_gradient(
        exponentials, lambda *given: change(exponentials_gradient(*given)), *numpy_point()
    )
    assert not report.passed
    assert [each.bug for each in report.diagnosis] == [bug]
    for row in report.rows:
        for element in row.elements:
            assert element.hand != pytest.approx(element.difference, rel=1e-6)


def test_bisection_finds_two_wrong_elements_among_many() -> None:
    truth = np.random.default_rng(0).normal(size=(20, 30))
    hand = truth.copy()
    hand[3, 4] += 1e-3
    hand[17, 29] *= -1
    calls = []

    def make_line(direction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        calls.append(direction)
        return lambda offsets: offsets * float(np.vdot(truth, direction))

    located = bisect(make_line, hand, 1.0, deadline=float("inf"))
    assert {element.at for element in located.elements} == {(3, 4), (17, 29)}
    assert len(calls) < 60  # of 600 elements
    assert not bisect(make_line, hand, 1.0, deadline=0.0).finished


def test_bfloat16_is_judged_beside_autodiff_in_bfloat16() -> None:
    point = X.astype(jnp.bfloat16)
    assert check_gradient(cubes, squares, point).passed
    wrong = check_gradient(cubes, lambda x: squares(x) * jnp.bfloat16(1.5), point)
    assert not wrong.passed


def test_a_loss_that_refuses_float64_is_judged_in_its_own_dtype() -> None:
    def locked(x: Any) -> Any:
        return cubes(x.astype(jnp.float32))

    report = check_gradient(locked, squares, X)
    assert report.passed
    assert set(referees(report).values()) == {"pass", "-"}
    assert "float32 where float64 is asked for" in report.notes[0]
    assert not check_gradient(locked, lambda x: 1.01 * squares(x), X).passed


def test_a_gradient_that_refuses_float64_is_held_against_float64_all_the_same() -> None:
    def kernel(x: Any) -> Any:
        return squares(x.astype(jnp.float32)).astype(x.dtype)

    report = check_gradient(cubes, kernel, X)
    assert referees(report) == {
        "autodiff": "pass",
        "float64": "-",
        "differences": "pass",
        "taylor": "-",
    }
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
def test_either_derivative_at_a_kink_is_undecided_and_others_are_wrong(at_kink: float) -> None:
    weights, point = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, -1.0])

    def loss(x: Any) -> Any:
        return jnp.sum(jnp.maximum(x, 0) * weights)

    def gradient(x: Any, between: float = at_kink) -> Any:
        return jnp.where(x > 0, 1.0, jnp.where(x == 0, between, 0.0)) * weights

    report = check_gradient(loss, gradient, point)
    assert report.verdict == "undecided"
    assert "kink" in report.rows[0].reason
    for outside in (2.0, 5.0):
        assert not check_gradient(loss, lambda x, at=outside: gradient(x, at), point).passed
    assert not check_gradient(loss, lambda x: -gradient(x), point).passed


def test_randomness_is_a_complaint_whether_traced_or_not() -> None:
    generator = np.random.default_rng(0)
    traced = check_gradient(cubes, lambda x: squares(x) + generator.normal(), X)
    called = check_gradient(
        lambda p, x: exponentials(p, x) + generator.normal(),
        exponentials_gradient,
        *numpy_point(),
    )
    for report in (traced, called):
        assert report.complaint is not None
        assert report.complaint.kind == "nondeterminism"
        assert not report.rows


def test_a_stop_gradient_in_the_loss_is_where_the_referees_disagree() -> None:
    report = check_gradient(lambda x: jnp.sum(jax.lax.stop_gradient(x) * x), lambda x: x, X)
    assert report.diagnosis[0].bug == "referees_disagree"


@pytest.mark.parametrize(
    ("params", "loss", "message"),
    [
        (jnp.arange(3), cubes, "without a floating leaf"),
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


def test_assert_gradient_shows_the_report() -> None:
    assert_gradient(cubes, squares, X)
    with pytest.raises(AssertionError) as failure:
        assert_gradient(cubes, lambda x: -squares(x), X)
    for text in ("verdict: FAIL", "params", "autodiff", "taylor", "likely bug: sign"):
        assert text in str(failure.value)


def test_a_report_is_plain_data_too() -> None:
    plain = check_value_and_grad(cubes, lambda x: (cubes(x), -squares(x)), X).to_dict()
    assert plain["verdict"] == "fail"
    assert [row["path"] for row in plain["rows"]] == ["loss", "params"]
    assert plain["rows"][1]["autodiff"]["r2"] == 2
    assert plain["rows"][0]["directional"]["slope"] is None
    assert plain["diagnosis"][0]["bug"] == "sign"


def facts(*changed: tuple[int, Callable[[np.ndarray], np.ndarray]]) -> Facts:
    generator = np.random.default_rng(1)
    shapes = [(5, 5), (5,), (5, 3), (3,), (5, 5)]
    truth = [generator.normal(size=shape) for shape in shapes]
    params = [generator.normal(size=shape) for shape in shapes]
    hand = [array.copy() for array in truth]
    for position, change in changed:
        hand[position] = change(truth[position])
    failing = tuple(position for position, _ in changed)
    return Facts(tuple("abcde"), hand, truth, params, failing, (17,), 1e-6)


def other(position: int) -> np.ndarray:
    return facts().truth[position]


GENERAL_CASES = [
    ("sign", facts((0, lambda g: -g), (1, lambda g: -g))),
    ("zero", facts((1, lambda g: 0 * g))),
    ("sum_for_mean", facts((0, lambda g: 17 * g), (3, lambda g: 17 * g))),
    ("mean_for_sum", facts((2, lambda g: g / 17))),
    ("factor", facts((2, lambda g: 1.001 * g))),
    ("transposed", facts((0, lambda g: g.T))),
    ("swapped", facts((0, lambda g: other(4)), (4, lambda g: other(0)))),
    ("element", facts((2, lambda g: g + 0.1 * np.eye(5, 3) * np.eye(5, 1)))),
    ("slice", facts((0, lambda g: np.where(np.arange(5)[:, None] == 2, 0, g)))),
    ("clipped", facts((0, lambda g: np.clip(g, -0.5, 0.5)))),
    ("permuted", facts((0, lambda g: g[::-1]))),
    ("precision", facts((0, lambda g: g.astype(np.float32).astype(float)))),
    ("parameter_multiple", facts((0, lambda g: g - 0.01 * facts().params[0]))),
    ("sum_for_mean", facts((0, lambda g: 17 * g - 0.1 * facts().params[0]))),
    ("unknown", facts((0, lambda g: np.sin(9 * g)))),
]


@pytest.mark.parametrize(("bug", "case"), GENERAL_CASES, ids=lambda value: str(value)[:20])
def test_the_general_bugs_are_recognised(bug: str, case: Facts) -> None:
    (found,) = diagnose(case)
    assert found.bug == bug
    assert found.leaves == tuple("abcde"[position] for position in case.failing)
    assert found.meaning == GENERAL_BUGS[bug]


def test_leaves_with_bugs_of_their_own_are_told_apart() -> None:
    found = list(diagnose(facts((0, lambda g: -g), (1, lambda g: 0 * g))))
    assert {(each.bug, each.leaves) for each in found} == {("sign", ("a",)), ("zero", ("b",))}


def test_a_network_that_is_another_one_is_refused() -> None:
    params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
    batch = (jnp.ones((4, 3)), jnp.array([0, 1, 0, 1]))

    def loss(p: Any, at: Any) -> Any:
        return jnp.sum((at[0] @ p["w"] + p["b"][None, :]) ** 2)

    for sizes, message in (((3, 2), "a loss of"), ((3, 4, 2), "layer sizes")):
        with pytest.raises(InputError, match=message):
            check_gradient(loss, jax.grad(loss), params, batch, network=Network(layer_sizes=sizes))


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
        ("adjoint", "linearity", "jit", "vmap", "scan"), "pass"
    )


@pytest.mark.parametrize(
    ("rule", "broken", "bug"),
    [
        (lambda d, x, n, y: (-d @ y.T, None, x.T @ d), {"adjoint"}, "sign"),
        (
            lambda d, x, n, y: (jnp.abs(d) @ y.T, None, x.T @ d),
            {"adjoint", "linearity"},
            "unknown",
        ),
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
