"""The diagnosis names bugs that are planted in the source's text: no code is shared with it."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jax_backprop.referee import BUGS, Diagnosis
from jax_backprop.referee.naming.facts import Facts, apart
from jax_backprop.referee.network_bugs import diagnose_network
from jax_backprop.referee.network_view import view

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks" / "mutants"
sys.path.insert(0, str(FOLDER))

from first_set import (  # noqa: E402
    D_INPUTS,
    D_LOGITS,
    DENSE,
    DOWN,
    PENALTY,
    SIGMOID,
    in_backprop,
    in_layer,
    in_network,
    in_result,
)
from planting import Edit, Mutant, plant  # noqa: E402
from points import judged_loss, point  # noqa: E402

HARD = "jax.nn.one_hot(block.targets, logits.shape[1])"
SOFT = f"(0.9 * {HARD} + 0.1 / logits.shape[1])"
Y = "jax.nn.softmax(logits)"


def _d_logits(expression: str) -> tuple[Edit, ...]:
    return in_backprop(D_LOGITS, expression)


def _labels(expression: str) -> tuple[Edit, ...]:
    return _d_logits(D_LOGITS.replace("block.targets", expression))


def _error(outputs: str) -> tuple[Edit, ...]:
    return _d_logits(f"({outputs} - {SOFT}) / total")


def _examples(weights: str) -> tuple[Edit, ...]:
    return _d_logits(f"{D_LOGITS} * ({weights})[:, None]")


def _penalty(expression: str) -> tuple[Edit, ...]:
    return in_network(PENALTY, PENALTY.replace("l2 * layer.weights", expression))


COUNT = "jnp.arange(logits.shape[0])"
OUTPUT_BUGS = {
    "sigmoid_for_softmax": ("output_activation_wrong", _error("jax.nn.sigmoid(logits)")),
    "softmax_twice": ("output_activation_wrong", _error(f"jax.nn.softmax({Y})")),
    "softmax_over_the_batch": ("output_activation_wrong", _error("jax.nn.softmax(logits, axis=0)")),
    "exp_without_sum": ("output_activation_wrong", _error("jnp.exp(logits)")),
    "hard_outputs": (
        "output_activation_wrong",
        _error("jax.nn.one_hot(jnp.argmax(logits, axis=1), logits.shape[1])"),
    ),
    "d_outputs_for_d_logits": ("softmax_derivative_missing", _d_logits(f"-{SOFT} / {Y} / total")),
    "diagonal": ("softmax_derivative_diagonal", _d_logits(f"-{HARD} * (1 - {Y}) / total")),
    "labels_rolled": ("labels_misaligned", _labels("jnp.roll(block.targets, 1)")),
    "labels_sorted": ("labels_misaligned", _labels("jnp.sort(block.targets)")),
    "label_class": ("label_class_alone", _d_logits(f"{D_LOGITS} * {HARD}")),
    "sign_of_error": ("error_sign", _d_logits(f"jnp.sign({D_LOGITS}) / total")),
    "smoothing_of_the_others": (
        "smoothing_wrong",
        _d_logits(f"({Y} - 0.9 * {HARD} - 0.1 / (logits.shape[1] - 1) * (1 - {HARD})) / total"),
    ),
    "half_a_batch": ("example_dropped", _examples(f"{COUNT} < 8")),
    "three_dropped": ("example_dropped", _examples(f"({COUNT} % 6 != 0) * 1.5")),
    "twice_as_many_of_class_0": ("examples_weighted", _examples("1 + (block.targets == 0)")),
    "one_in_the_middle": ("one_example", _examples(f"{COUNT} == 5")),
}
HIDDEN_BUGS = {
    "mean_of_the_derivative": (
        "activation_derivative_wrong",
        (
            Edit(
                "activations",
                SIGMOID,
                "return d_activations * jnp.mean(activations * (1 - activations), axis=0)",
            ),
        ),
    ),
    "weights_before_the_derivative": (
        "activation_derivative_missing",
        (
            *in_backprop(DOWN, f"before = d_inputs; {DOWN}"),
            *in_backprop(
                DENSE,
                f"{DENSE}; d_layer = d_layer._replace(weights=layer_input.T @ before) "
                "if d_layers else d_layer",
            ),
        ),
    ),
    "sizes_of_the_weights": (
        "weights_missing",
        in_network(D_INPUTS, "d_inputs = d_outputs @ jnp.abs(layer.weights).T"),
    ),
    # The errors of one example add up to 0: without W nothing but rounding is left.
    "weights_left_out": (
        "weights_missing",
        in_network(D_INPUTS, "d_inputs = jnp.sum(d_outputs, axis=1, keepdims=True) + 0 * inputs"),
    ),
    "label_class_down": (
        "one_class",
        in_backprop(
            DENSE,
            f"{DENSE}; d_inputs = (d_outputs * {HARD}) @ layer.weights.T "
            "if not d_layers else d_inputs",
        ),
    ),
    "biases_of_the_whole_layer": (
        "bias_sum_over_units",
        in_layer(biases="jnp.broadcast_to(jnp.sum(d_outputs), layer.biases.shape)"),
    ),
    "inputs_reshaped": (
        "inputs_altered",
        in_layer(weights="inputs.reshape(inputs.shape[::-1]) @ d_outputs"),
    ),
    # Without a pattern: where they enter.
    "through_the_gradient": (
        "error_below",
        in_network(D_INPUTS, "d_inputs = d_outputs @ (inputs.T @ d_outputs).T"),
    ),
    "powers_of_the_error": ("output_error", _d_logits(f"({D_LOGITS}) ** 3")),
    "sine_of_the_inputs": ("weights_gradient", in_layer(weights="jnp.sin(inputs).T @ d_outputs")),
    "largest_error_in_biases": ("bias_gradient", in_layer(biases="jnp.max(d_outputs, axis=0)")),
    "last_example_in_biases": ("one_example", in_layer(biases="d_outputs[-1]")),
    "inputs_centred": (
        "inputs_altered",
        in_layer(weights="(inputs - jnp.mean(inputs, axis=0)).T @ d_outputs"),
    ),
    "inputs_rolled": (
        "inputs_altered",
        in_layer(weights="jnp.roll(inputs, 1, axis=0).T @ d_outputs"),
    ),
    "inputs_in_bfloat16": (
        "precision",
        in_layer(weights="inputs.astype(jnp.bfloat16).astype(inputs.dtype).T @ d_outputs"),
    ),
    "two_units_masked": (
        "unit_left_out",
        in_backprop(
            DOWN, f"{DOWN} * (1 - jnp.isin(jnp.arange(d_inputs.shape[1]), jnp.array([0, 2])))"
        ),
    ),
    "penalty_l1": ("penalty_wrong", _penalty("l2 * jnp.sign(layer.weights)")),
    "penalty_of_the_norm": (
        "penalty_factor",
        _penalty("l2 * layer.weights / jnp.linalg.norm(layer.weights)"),
    ),
}
ARRAY_BUGS = {
    "offset": (
        "offset",
        in_result("d_layers[0] = d_layers[0]._replace(weights=d_layers[0].weights + 0.01)"),
    ),
    "absolute": (
        "sign",
        in_result("d_layers[0] = d_layers[0]._replace(weights=jnp.abs(d_layers[0].weights))"),
    ),
    "columns_scaled": (
        "line_factors",
        in_result(
            "scale = jnp.array([1.0, 2.0, 3.0, 0.5])",
            "d_layers[0] = jax.tree.map(lambda leaf: leaf * scale, d_layers[0])",
        ),
    ),
    # So near to the truth that whatever changes nothing here, such as W for W^T where only a square
    # matrix lets it through, is near, too.
    "a_millionth_too_large": (
        "factor",
        in_result("d_layers[0] = d_layers[0]._replace(weights=(1 + 5e-7) * d_layers[0].weights)"),
    ),
    "two_rows_of_five": (
        "slice",
        in_result(
            "w = d_layers[0].weights",
            "d_layers[0] = d_layers[0]._replace(weights=w.at[3:].set(w[:2]))",
        ),
    ),
}
PLANTED = OUTPUT_BUGS | HIDDEN_BUGS | ARRAY_BUGS


def diagnose(edits: tuple[Edit, ...], network: str) -> Diagnosis:
    at = point(network)
    planted = plant(Mutant("planted", "", edits, (), of_set=1))
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        params, batch, penalties = at.in_dtype("float64")
        _, wrong = planted(params, batch, network=at.network, penalties=penalties)
        right = jax.grad(judged_loss(at.network))(params, batch, penalties)
    hand, truth, leaves = (
        [np.asarray(leaf) for leaf in jax.tree.leaves(tree)] for tree in (wrong, right, params)
    )
    failing = tuple(n for n in range(len(leaves)) if apart(hand[n], truth[n]) > 1e-10)
    facts = Facts(tuple("abcdef")[: len(leaves)], hand, truth, leaves, failing, (17,), 1e-6)
    return diagnose_network(facts, view(at.network, leaves, (batch, penalties)))[0]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_named(name: str) -> None:
    bug, edits = PLANTED[name]
    found = diagnose(edits, "5-4-3")
    assert found.bug == bug, found.evidence
    assert found.meaning == BUGS[bug]


def test_a_rule_that_is_wrong_in_one_layer_alone_is_named_with_the_layer() -> None:
    once = in_backprop(DOWN, f"d_outputs = d_inputs if len(d_layers) == 2 else {DOWN[12:]}")
    found = diagnose(once, "20-20-20-5")
    assert found.bug == "activation_derivative_missing"
    assert found.evidence.endswith("in layer 1 alone")
