"""The second set of mutants: written after the diagnosis was frozen, without looking at it."""

from __future__ import annotations

from first_set import (
    D_INPUTS,
    D_LOGITS,
    DENSE,
    DOWN,
    PENALTY,
    SIGMOID,
    TANH,
    in_backprop,
    in_layer,
    in_network,
    in_result,
)
from planting import Edit, of_set

_mutant = of_set(2)
APPEND = "d_layers.append(d_layer)"
PENALISED = (
    "return value + l2_penalty(params, penalties.l2), jax.tree.map(jnp.add, grads, penalty_grads)"
)
VALUE = "value + l2_penalty(params, penalties.l2)"
# Z from O, to plant the mistakes that take the one for the other.
Z = "(jnp.arctanh if network.activation == 'tanh' else lambda o: jnp.log(o / (1 - o)))"


def _derivatives(sigmoid: str, tanh: str) -> tuple[Edit, ...]:
    return (
        Edit("activations", SIGMOID, f"return d_activations * {sigmoid}"),
        Edit("activations", TANH, f"return d_activations * {tanh}"),
    )


def _first_weights(expression: str) -> tuple[Edit, ...]:
    return in_result(
        "w = d_layers[0].weights", f"d_layers[0] = d_layers[0]._replace(weights={expression})"
    )


SECOND_SET = (
    _mutant(
        "weights_not_transposed",
        "W for W^T in (18), where the shape allows it",
        in_network(
            D_INPUTS,
            "d_inputs = d_outputs @ (layer.weights if layer.weights.shape[0] == "
            "layer.weights.shape[1] else layer.weights.T)",
        ),
        "layer",
    ),
    _mutant(
        "bias_before_the_derivative",
        "hidden biases from dE/dO",
        (
            *in_backprop(DOWN, f"before = d_inputs; {DOWN}"),
            *in_backprop(
                APPEND,
                "d_layers.append(d_layer._replace(biases=jnp.sum(before, axis=0)) "
                "if d_layers else d_layer)",
            ),
        ),
        "layer",
    ),
    _mutant(
        "pre_activation_as_input",
        "Z for O in (16)",
        in_backprop(
            DENSE,
            f"dense_backward(d_outputs, layer_input if layer is params[0] else {Z}(layer_input), "
            "layer)",
        ),
        "layer",
    ),
    _mutant(
        "derivative_of_the_other_activation",
        "tanh's for sigmoid, sigmoid's for tanh",
        _derivatives("(1 - activations**2)", "activations * (1 - activations)"),
        "activation",
    ),
    _mutant(
        "derivative_half_written",
        "O for O (1 - O), 1 - O for 1 - O^2",
        _derivatives("activations", "(1 - activations)"),
        "activation",
    ),
    _mutant(
        "derivative_with_plus",
        "O (1 + O), 1 + O^2",
        _derivatives("activations * (1 + activations)", "(1 + activations**2)"),
        "activation",
    ),
    _mutant(
        "relu_mask",
        "the derivative of ReLU left from another network",
        _derivatives("(activations > 0)", "(activations > 0)"),
        "activation",
    ),
    _mutant(
        "labels_from_one",
        "labels taken as one more than they are",
        in_backprop(
            D_LOGITS, D_LOGITS.replace("block.targets", "(block.targets + 1) % logits.shape[1]")
        ),
        "loss",
    ),
    _mutant(
        "last_example_dropped",
        "a range that ends one early",
        in_layer(
            weights="inputs[:-1].T @ d_outputs[:-1]", biases="jnp.sum(d_outputs[:-1], axis=0)"
        ),
        "layer",
        "mean",
    ),
    _mutant(
        "softmax_as_elementwise",
        "Y (1 - Y) beside Y - L",
        in_backprop(
            D_LOGITS, f"{D_LOGITS}; y = jax.nn.softmax(logits); d_outputs = d_outputs * y * (1 - y)"
        ),
        "loss",
    ),
    _mutant(
        "smoothing_missing",
        "hard labels in the gradient",
        in_backprop(D_LOGITS, D_LOGITS.replace("label_smoothing", "0.0")),
        "loss",
    ),
    _mutant(
        "squared_error_of_the_logits",
        "Z - L for Y - L",
        in_backprop(D_LOGITS, "(logits - jax.nn.one_hot(block.targets, logits.shape[1])) / total"),
        "loss",
    ),
    _mutant(
        "penalty_on_biases",
        "the penalty over all parameters",
        in_network(PENALTY, PENALTY.replace("jnp.zeros_like(layer.biases)", "l2 * layer.biases")),
        "penalty",
        "parameter_multiple",
    ),
    _mutant(
        "penalty_of_one_layer_missing",
        "the first layer's penalty forgotten",
        in_backprop(
            PENALISED,
            f"return {VALUE}, (grads[0], *jax.tree.map(jnp.add, grads[1:], penalty_grads[1:]))",
        ),
        "penalty",
    ),
    _mutant(
        "penalty_subtracted",
        "minus for plus",
        in_backprop(PENALISED, PENALISED.replace("jnp.add", "jnp.subtract")),
        "penalty",
    ),
    _mutant(
        "penalty_over_n",
        "the penalty divided by the number of examples too",
        in_backprop(
            PENALISED,
            f"return {VALUE}, jax.tree.map(lambda g, p: g + p / total, grads, penalty_grads)",
        ),
        "penalty",
    ),
    _mutant(
        "last_biases_zero",
        "the output biases forgotten",
        in_result(
            "d_layers[-1] = d_layers[-1]._replace(biases=jnp.zeros_like(d_layers[-1].biases))"
        ),
        "layer",
    ),
    _mutant(
        "mean_over_classes",
        "divided by the classes, not by the examples",
        in_backprop(D_LOGITS, D_LOGITS.replace("/ total", "/ logits.shape[1]")),
        "mean",
    ),
    _mutant(
        "mean_over_outputs",
        "(17) as a mean over the units above",
        in_network(D_INPUTS, "d_inputs = d_outputs @ layer.weights.T / d_outputs.shape[1]"),
        "layer",
    ),
    _mutant(
        "accumulated_twice",
        "the first layer's gradient added to itself",
        in_result("d_layers[0] = jax.tree.map(lambda leaf: leaf + leaf, d_layers[0])"),
        "layer",
        "activation",
    ),
    _mutant(
        "columns_swapped",
        "two hidden units' weights in each other's place",
        _first_weights("w.at[:, 0].set(w[:, 1]).at[:, 1].set(w[:, 0])"),
        "layer",
        "permuted",
    ),
    _mutant(
        "rows_reversed",
        "inputs in the reverse order",
        _first_weights("w[::-1]"),
        "layer",
        "permuted",
    ),
    _mutant(
        "unit_left_out",
        "a dropout mask left in: the last hidden unit of each layer gets nothing",
        in_backprop(DOWN, f"{DOWN}.at[:, -1].set(0)"),
        "layer",
        "activation",
    ),
    _mutant(
        "clipped",
        "clipped at half of the largest",
        _first_weights("jnp.clip(w, -0.5 * jnp.max(jnp.abs(w)), 0.5 * jnp.max(jnp.abs(w)))"),
        "layer",
        "clipped",
    ),
    _mutant(
        "through_bfloat16",
        "rounded to bfloat16 on the way",
        in_backprop(D_LOGITS, f"({D_LOGITS}).astype(jnp.bfloat16).astype(logits.dtype)"),
        "loss",
        "layer",
    ),
    _mutant(
        "product_of_sums",
        "the mean input times the summed error, for the sum of the products",
        in_layer(weights="jnp.mean(inputs, axis=0)[:, None] * jnp.sum(d_outputs, axis=0)[None, :]"),
        "layer",
    ),
)
