"""A wrong backward is named by the equation of the loss: by hand in NumPy, one mistake each."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import check_gradient
from jax_backprop.referee.naming import Facts
from jax_backprop.referee.naming.diagnosing import explain, passes_of, target_of
from jax_backprop.referee.naming.equations import trace
from jax_backprop.referee.naming.passes import Passes
from jax_backprop.referee.naming.placement import place
from jax_backprop.referee.naming.wording import placed

RANDOM = np.random.default_rng(0)
IDS = np.array([0, 2, 2, 5, 1, 0, 4])
LABELS = np.array([0, 1, 2, 1, 0, 2, 1])
LEAVES = {
    "table": RANDOM.normal(size=(6, 4)),
    "inner": RANDOM.normal(size=(4, 4)),
    "gain": 1 + RANDOM.normal(size=4) / 4,
    "outer": RANDOM.normal(size=(4, 3)),
    "biases": RANDOM.normal(size=3),
}
Arrays = dict[str, np.ndarray]


CENTRED = next(  # the line below that subtracts the mean
    number
    for number, line in enumerate(Path(__file__).read_text().splitlines(), 1)
    if line.startswith("    centred = mixed")
)


def network(table: Any, inner: Any, gain: Any, outer: Any, biases: Any) -> Any:
    mixed = table[IDS] @ inner
    centred = mixed - mixed.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    scaled = centred / jnp.sqrt(variance + 1e-5)
    hidden = jnp.tanh(scaled * gain)
    logits = hidden @ outer + biases
    log_p = jax.nn.log_softmax(logits)
    return -jnp.mean(log_p[np.arange(len(LABELS)), LABELS])


def backward(wrong: str) -> Arrays:
    """Return the gradient by hand, with one mistake."""
    p, n = LEAVES, len(IDS)
    rows = p["table"][IDS]
    mixed = rows @ p["inner"]
    centred = mixed - mixed.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    scaled = centred * inverse
    hidden = np.tanh(scaled * p["gain"])
    shares = np.exp(hidden @ p["outer"] + p["biases"])
    shares /= shares.sum(1, keepdims=True)
    d_logits = (shares - (wrong != "labels") * np.eye(3)[LABELS]) / n
    d_biases = d_logits[0] if wrong == "one example" else d_logits.sum(0)
    d_outer = np.abs(hidden).T @ d_logits if wrong == "absolute" else hidden.T @ d_logits
    d_hidden = d_logits @ p["outer"].T
    slope = {"no slope": 1.0, "slope at input": 1 - (scaled * p["gain"]) ** 2}.get(wrong)
    d_arg = d_hidden * (1 - hidden**2 if slope is None else slope)
    if wrong == "masked":
        d_arg[[1, 4]] = 0
    if wrong == "strange":
        d_arg = d_arg * np.cos(3 * scaled) + 0.1 * d_arg[:, ::-1]
    d_gain = (d_arg * (centred if wrong == "centred" else scaled)).sum(0)
    d_gain = d_gain / n if wrong == "mean" else d_gain
    d_scaled = d_arg * p["gain"]
    mean = 0 if wrong in ("mean held", "both held") else d_scaled.mean(-1, keepdims=True)
    spread = 0 if wrong == "both held" else (d_scaled * scaled).mean(-1, keepdims=True)
    d_mixed = inverse * (d_scaled - mean - scaled * spread * (2 if wrong == "twice" else 1))
    d_rows = d_mixed @ (p["inner"] if wrong == "not transposed" else p["inner"].T)
    d_table = np.zeros_like(p["table"])
    if wrong == "overwritten":
        d_table[IDS] = d_rows
    else:
        np.add.at(d_table, IDS, d_rows)
    return {"table": d_table, "inner": rows.T @ d_mixed, "gain": d_gain, "outer": d_outer} | {
        "biases": d_biases
    }


def facts(judged: Arrays, right: Arrays, leaves: Arrays) -> Facts:
    hand, truth = ([arrays[name] for name in leaves] for arrays in (judged, right))
    failing = tuple(n for n in range(len(hand)) if not np.allclose(hand[n], truth[n], 1e-9, 1e-12))
    return Facts(tuple(leaves), hand, truth, list(leaves.values()), failing, (), 1e-6)


@pytest.fixture(scope="module")
def passes() -> Passes:
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        found = passes_of(network, facts(backward(""), backward(""), LEAVES), opened=False)
    assert found is not None
    return found


NAMED = {
    "labels": ("zero", "jax.nn.log_softmax(logits)"),
    "one example": ("not summed over the broadcast, the first alone", "hidden @ outer + biases"),
    "absolute": ("its other operand its absolute value", "hidden @ outer + biases"),
    "no slope": ("derivative missing", "jnp.tanh(scaled * gain)"),
    "slope at input": (
        "derivative's formula for the output given the input",
        "jnp.tanh(scaled * gain)",
    ),
    "centred": (f"sub at test_naming.py:{CENTRED} in place of its other operand", "scaled * gain"),
    "mean": ("mean_for_sum", "scaled * gain"),
    "mean held": ("zero", "mixed - mixed.mean(-1, keepdims=True)"),
    "twice": ("factor", "centred / jnp.sqrt(variance + 1e-5)"),
    "not transposed": ("its other operand transposed", "table[IDS] @ inner"),
    "overwritten": ("overwritten for added", "table[IDS] @ inner"),
}


@pytest.mark.parametrize("wrong", NAMED)
def test_a_mistake_is_named_at_its_line(wrong: str, passes: Passes) -> None:
    bug, line = NAMED[wrong]
    with jax.enable_x64(True):
        target = target_of(facts(backward(wrong), backward(""), LEAVES), 1e-10)
        (found,) = explain(passes, target, 1e-10, float("inf"))
    assert (found.bug, line in found.line) == (bug, True), found
    assert found.residual < 1e-9


def test_two_mistakes_are_both_named(passes: Passes) -> None:
    with jax.enable_x64(True):
        target = target_of(facts(backward("both held"), backward(""), LEAVES), 1e-10)
        found = explain(passes, target, 1e-10, float("inf"))
    assert [each.line.split(" = ")[0] for each in found] == ["scaled", "centred"]


@pytest.mark.parametrize(("wrong", "bug"), [("strange", "unknown"), ("masked", "left_out")])
def test_what_is_not_in_the_catalogue_is_placed(wrong: str, bug: str, passes: Passes) -> None:
    with jax.enable_x64(True):
        target = target_of(facts(backward(wrong), backward(""), LEAVES), 1e-10)
        assert explain(passes, target, 1e-10, float("inf")) == []
        where = place(passes, target)
        assert where is not None
        found = placed(passes, where)
    assert found.bug == bug
    assert "jnp.tanh(scaled * gain)" in found.sources[0].text
    if wrong == "masked":
        assert "indices 1, 4 of axis 0 left out" in found.what


def test_a_search_that_breaks_does_not_cost_the_verdict(monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("jax_backprop.referee.diagnosis.diagnose", broken)
    report = check_gradient(lambda x: jnp.sum(x**3), lambda x: 2 * x**2, jnp.arange(1.0, 4.0))
    assert report.verdict == "fail"
    assert "ended with RuntimeError: planted" in str(report.diagnosis[0])


def test_a_window_that_is_shifted_is_named_beside_a_number_that_is_broadcast() -> None:
    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        return jnp.sum(sum(x[i : i + 2] * w[i] for i in range(3)) ** 2)

    def shifted(x: jax.Array, w: jax.Array) -> jax.Array:
        y = sum(x[i : i + 2] * w[i] for i in range(3))
        return (
            jnp.zeros(4)
            .at[1:3]
            .add(2 * y * w[0])
            .at[1:3]
            .add(2 * y * w[1])
            .at[2:]
            .add(2 * y * w[2])
        )

    report = check_gradient(
        loss, shifted, jnp.array([1.0, -2.0, 0.5, 3.0]), jnp.array([0.3, 0.7, -1.1])
    )
    assert report.verdict == "fail" and "shifted" in str(report.diagnosis[0])


def test_arrays_that_no_equation_makes_have_names_too() -> None:
    program = trace(lambda w: jnp.sum(w * np.arange(3.0)), [np.ones(3)])
    passes = Passes(program, [np.ones(3)], ["params.w"])
    said = {passes.described(slot) for each in program.equations for slot in each.inputs}
    assert {"params.w", "data (3)"} < said


def centred(x: Any) -> Any:
    middle = x - jnp.mean(x, axis=1, keepdims=True)
    spread = jnp.sqrt(jnp.mean(middle**2, axis=1, keepdims=True) + 0.1)
    return middle / spread


def two_layers(p: Any) -> Any:
    first = centred(INPUTS @ p["a"])
    second = centred(jnp.tanh(first) @ p["b"])
    return jnp.sum(second**3)


INPUTS = np.random.default_rng(3).normal(size=(4, 8))
LAYERS = {
    name: np.random.default_rng(rows).normal(size=(rows, 5))
    for name, rows in {"a": 8, "b": 5}.items()
}


def by_hand_of_layers(p: Any, *, spread: Any, wrong: float = 0.0, mean: float = 1.0) -> Any:
    """Return the gradient, by a spread and a pullback of one's own."""

    def forward(x: Any) -> tuple[Any, Any]:
        middle = x - x.mean(1, keepdims=True)
        scale = spread(middle)
        return middle / scale, scale

    def pull(found: tuple[Any, Any], d: Any, mean: float = 1.0) -> Any:
        out, scale = found
        d = (d - mean * d.mean(1, keepdims=True) - out * (d * out).mean(1, keepdims=True)) / scale
        return d + wrong * out**2 / scale

    one = forward(INPUTS @ p["a"])
    two = forward(jnp.tanh(one[0]) @ p["b"])
    d_two = pull(two, 3 * two[0] ** 2)
    d_one = pull(one, (d_two @ p["b"].T) * (1 - jnp.tanh(one[0]) ** 2), mean)
    return {"a": INPUTS.T @ d_one, "b": jnp.tanh(one[0]).T @ d_two}


def right_spread(middle: Any) -> Any:
    return jnp.sqrt((middle**2).mean(1, keepdims=True) + 0.1)


def test_a_mistake_without_a_name_is_placed_at_a_line_that_runs_twice() -> None:
    """No single array explains it: those that enter the function do, in both of its calls."""
    with jax.enable_x64(True):
        report = check_gradient(
            two_layers,
            partial(by_hand_of_layers, spread=right_spread, wrong=0.3),
            LAYERS,
            budget=300.0,
        )
        right = check_gradient(two_layers, partial(by_hand_of_layers, spread=right_spread), LAYERS)
    assert right.passed and report.verdict == "fail"
    (said,) = report.diagnosis
    assert "each time that the line runs" in said.meaning
    assert said.line == "middle = x - jnp.mean(x, axis=1, keepdims=True)"


def test_a_forward_pass_that_leaves_the_losss_is_placed_where_it_does() -> None:
    def outside(middle: Any) -> Any:
        return jnp.sqrt((middle**2).mean(1, keepdims=True)) + 0.1

    with jax.enable_x64(True):
        report = check_gradient(two_layers, partial(by_hand_of_layers, spread=outside), LAYERS)
    (said,) = report.diagnosis
    assert said.line.startswith("spread = jnp.sqrt(") and "neither this value" in said.meaning
    assert "called by `first = centred(INPUTS @" in said.meaning


def test_a_name_says_which_call_of_a_function_it_is_in() -> None:
    with jax.enable_x64(True):
        hand = partial(by_hand_of_layers, spread=right_spread, mean=0.0)
        said = str(check_gradient(two_layers, hand, LAYERS).diagnosis[0])
    assert "nothing flows back, in `middle = x - jnp.mean(x" in said
    assert "called by `first = centred(INPUTS @" in said
