"""The fourth set of mutants: written beside the diagnosis, one for each kind that it knew."""

from __future__ import annotations

from first_set import (
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
from planting import Edit, of_set

_mutant = of_set(4)
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

FOURTH_SET = (
    _mutant(
        "sigmoid_for_softmax_too",
        "the sigmoid for the softmax, smoothed labels",
        _error("jax.nn.sigmoid(logits)"),
        "loss",
    ),
    _mutant("softmax_twice_too", "the softmax twice", _error(f"jax.nn.softmax({Y})"), "loss"),
    _mutant(
        "softmax_over_the_batch",
        "the softmax over the batch",
        _error("jax.nn.softmax(logits, axis=0)"),
        "loss",
    ),
    _mutant("exp_without_sum", "exp Z, not divided by its sum", _error("jnp.exp(logits)"), "loss"),
    _mutant(
        "hard_outputs",
        "the likeliest class for the softmax",
        _error("jax.nn.one_hot(jnp.argmax(logits, axis=1), logits.shape[1])"),
        "loss",
    ),
    _mutant(
        "d_outputs_for_d_logits",
        "dE/dY taken for dE/dZ",
        _d_logits(f"-{SOFT} / {Y} / total"),
        "loss",
    ),
    _mutant(
        "diagonal",
        "the softmax's derivative, its diagonal alone, hard labels",
        _d_logits(f"-{HARD} * (1 - {Y}) / total"),
        "loss",
    ),
    _mutant(
        "labels_rolled",
        "labels of the example before",
        _labels("jnp.roll(block.targets, 1)"),
        "loss",
    ),
    _mutant("labels_sorted", "labels sorted", _labels("jnp.sort(block.targets)"), "loss"),
    _mutant("label_class", "dE/dZ at the label alone", _d_logits(f"{D_LOGITS} * {HARD}"), "loss"),
    _mutant(
        "sign_of_error",
        "the sign of the error for the error",
        _d_logits(f"jnp.sign({D_LOGITS}) / total"),
        "loss",
    ),
    _mutant(
        "smoothing_of_the_others",
        "smoothing given to the other classes",
        _d_logits(f"({Y} - 0.9 * {HARD} - 0.1 / (logits.shape[1] - 1) * (1 - {HARD})) / total"),
        "loss",
    ),
    _mutant("half_a_batch", "half a batch", _examples(f"{COUNT} < 8"), "loss", "mean"),
    _mutant(
        "three_dropped",
        "three examples dropped, the mean over the rest",
        _examples(f"({COUNT} % 6 != 0) * 1.5"),
        "loss",
        "mean",
    ),
    _mutant(
        "twice_as_many_of_class_0",
        "examples of one class counted twice",
        _examples("1 + (block.targets == 0)"),
        "loss",
        "mean",
    ),
    _mutant(
        "one_in_the_middle",
        "one example of the middle alone",
        _examples(f"{COUNT} == 5"),
        "loss",
        "mean",
    ),
    _mutant(
        "mean_of_the_derivative",
        "the derivative's mean over the batch",
        (
            Edit(
                "activations",
                SIGMOID,
                "return d_activations * jnp.mean(activations * (1 - activations), axis=0)",
            ),
        ),
        "activation",
    ),
    _mutant(
        "weights_before_the_derivative",
        "dE/dW before the derivative is taken",
        (
            *in_backprop(DOWN, f"before = d_inputs; {DOWN}"),
            *in_backprop(
                DENSE,
                f"{DENSE}; d_layer = d_layer._replace(weights=layer_input.T @ before) "
                "if d_layers else d_layer",
            ),
        ),
        "activation",
        "layer",
    ),
    _mutant(
        "sizes_of_the_weights",
        "|W| for W in (18)",
        in_network(D_INPUTS, "d_inputs = d_outputs @ jnp.abs(layer.weights).T"),
        "layer",
    ),
    _mutant(
        "weights_left_out",
        "(18) without W",
        in_network(D_INPUTS, "d_inputs = jnp.sum(d_outputs, axis=1, keepdims=True) + 0 * inputs"),
        "layer",
    ),
    _mutant(
        "label_class_down",
        "(18) from the label's output alone",
        in_backprop(
            DENSE,
            f"{DENSE}; d_inputs = (d_outputs * {HARD}) @ layer.weights.T "
            "if not d_layers else d_inputs",
        ),
        "layer",
    ),
    _mutant(
        "biases_of_the_whole_layer",
        "a sum without an axis in the biases",
        in_layer(biases="jnp.broadcast_to(jnp.sum(d_outputs), layer.biases.shape)"),
        "layer",
    ),
    _mutant(
        "inputs_reshaped",
        "inputs reshaped for transposed",
        in_layer(weights="inputs.reshape(inputs.shape[::-1]) @ d_outputs"),
        "layer",
    ),
    _mutant(
        "through_the_gradient",
        "dW for W in (18)",
        in_network(D_INPUTS, "d_inputs = d_outputs @ (inputs.T @ d_outputs).T"),
        "layer",
    ),
    _mutant("powers_of_the_error", "the error's cube", _d_logits(f"({D_LOGITS}) ** 3"), "loss"),
    _mutant(
        "sine_of_the_inputs",
        "sin O for O in (16)",
        in_layer(weights="jnp.sin(inputs).T @ d_outputs"),
        "layer",
    ),
    _mutant(
        "largest_error_in_biases",
        "max for sum in the biases",
        in_layer(biases="jnp.max(d_outputs, axis=0)"),
        "layer",
    ),
    _mutant(
        "last_example_in_biases",
        "the last example's error in the biases",
        in_layer(biases="d_outputs[-1]"),
        "layer",
    ),
    _mutant(
        "inputs_centred",
        "inputs less their mean in (16)",
        in_layer(weights="(inputs - jnp.mean(inputs, axis=0)).T @ d_outputs"),
        "layer",
    ),
    _mutant(
        "inputs_rolled",
        "the inputs of the example before in (16)",
        in_layer(weights="jnp.roll(inputs, 1, axis=0).T @ d_outputs"),
        "layer",
    ),
    _mutant(
        "inputs_in_bfloat16",
        "inputs rounded to bfloat16 in (16)",
        in_layer(weights="inputs.astype(jnp.bfloat16).astype(inputs.dtype).T @ d_outputs"),
        "layer",
    ),
    _mutant(
        "two_units_masked",
        "two units masked",
        in_backprop(
            DOWN, f"{DOWN} * (1 - jnp.isin(jnp.arange(d_inputs.shape[1]), jnp.array([0, 2])))"
        ),
        "activation",
        "layer",
    ),
    _mutant(
        "penalty_l1",
        "the gradient of an L1 penalty",
        _penalty("l2 * jnp.sign(layer.weights)"),
        "penalty",
    ),
    _mutant(
        "penalty_of_the_norm",
        "the gradient of the weights' norms",
        _penalty("l2 * layer.weights / jnp.linalg.norm(layer.weights)"),
        "penalty",
    ),
    _mutant(
        "offset",
        "off by the same number",
        in_result("d_layers[0] = d_layers[0]._replace(weights=d_layers[0].weights + 0.01)"),
        "layer",
        "offset",
    ),
    _mutant(
        "absolute",
        "absolute values",
        in_result("d_layers[0] = d_layers[0]._replace(weights=jnp.abs(d_layers[0].weights))"),
        "layer",
    ),
    _mutant(
        "columns_scaled",
        "columns with factors of their own",
        in_result(
            "scale = jnp.array([1.0, 2.0, 3.0, 0.5])",
            "d_layers[0] = jax.tree.map(lambda leaf: leaf * scale, d_layers[0])",
        ),
        "activation",
        "layer",
    ),
    _mutant(
        "a_millionth_too_large",
        "half a millionth too large",
        in_result("d_layers[0] = d_layers[0]._replace(weights=(1 + 5e-7) * d_layers[0].weights)"),
        "layer",
    ),
    _mutant(
        "two_rows_of_five",
        "two rows copied from others",
        in_result(
            "w = d_layers[0].weights",
            "d_layers[0] = d_layers[0]._replace(weights=w.at[3:].set(w[:2]))",
        ),
        "layer",
        "slice",
    ),
)
