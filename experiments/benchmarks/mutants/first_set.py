"""The first set of mutants: written before the diagnosis was frozen."""

from __future__ import annotations

from planting import Edit, of_set

_mutant = of_set(1)
D_LOGITS = "block.weighted(loss.backward(logits, block.targets, label_smoothing)) / total"
DENSE = "dense_backward(d_outputs, layer_input, layer)"
DOWN = "d_outputs = activation.backward(d_inputs, layer_input)"
RESULT = "return value, tuple(reversed(d_layers))"
D_LAYER = "d_layer = Layer(weights=inputs.T @ d_outputs, biases=jnp.sum(d_outputs, axis=0))"
D_INPUTS = "d_inputs = d_outputs @ layer.weights.T"
SIGMOID = "return d_activations * activations * (1 - activations)"
TANH = "return d_activations * (1 - activations) * (1 + activations)"
PENALTY = "Layer(l2 * layer.weights, jnp.zeros_like(layer.biases)) for layer in params"
LAYERS = "d_layers = list(reversed(d_layers))"


def in_backprop(old: str, new: str) -> tuple[Edit, ...]:
    """Edit the chain of the rules."""
    return (Edit("backprop", old, new),)


def in_network(old: str, new: str) -> tuple[Edit, ...]:
    """Edit a layer's rules."""
    return (Edit("network", old, new),)


def in_result(*lines: str) -> tuple[Edit, ...]:
    """Change the finished list of layers, the first layer first, before it is returned."""
    body = "\n    ".join((LAYERS, *lines, "return value, tuple(d_layers)"))
    return in_backprop(RESULT, body)


def in_layer(
    weights: str = "inputs.T @ d_outputs", biases: str = "jnp.sum(d_outputs, axis=0)"
) -> tuple[Edit, ...]:
    """Edit the gradients that a layer returns."""
    return in_network(D_LAYER, f"d_layer = Layer(weights={weights}, biases={biases})")


FIRST_SET = (
    _mutant("sign", "ascent for descent", in_backprop(D_LOGITS, f"-{D_LOGITS}"), "loss", "mean"),
    _mutant(
        "sign_of_one_leaf",
        "the output weights' sign",
        in_result("d_layers[-1] = d_layers[-1]._replace(weights=-d_layers[-1].weights)"),
        "layer",
    ),
    _mutant(
        "sum_for_mean",
        "the division by N forgotten",
        in_backprop(D_LOGITS, D_LOGITS.removesuffix(" / total")),
        "mean",
    ),
    _mutant(
        "mean_twice", "divided by N twice", in_backprop(D_LOGITS, f"{D_LOGITS} / total"), "mean"
    ),
    _mutant(
        "factor_two", "the 1/2 forgotten", in_backprop(D_LOGITS, f"2 * {D_LOGITS}"), "loss", "mean"
    ),
    _mutant(
        "a_thousandth_too_large",
        "the first weights by 0.1%",
        in_result("d_layers[0] = d_layers[0]._replace(weights=1.001 * d_layers[0].weights)"),
        "layer",
    ),
    _mutant(
        "transposed_square",
        "d_W transposed where the shape allows it",
        in_layer(
            weights="(inputs.T @ d_outputs).T "
            "if inputs.shape[1] == d_outputs.shape[1] else inputs.T @ d_outputs"
        ),
        "layer",
        "transposed",
    ),
    _mutant(
        "first_biases_zero",
        "the first biases forgotten",
        in_result("d_layers[0] = d_layers[0]._replace(biases=0 * d_layers[0].biases)"),
        "layer",
    ),
    _mutant(
        "detached_below_the_output",
        "nothing flows below the last layer",
        in_backprop(DOWN, "d_outputs = 0 * activation.backward(d_inputs, layer_input)"),
        "layer",
        "activation",
    ),
    _mutant(
        "layers_swapped",
        "the first two layers' gradients in each other's place, where shapes allow it",
        in_result(
            "if d_layers[0].weights.shape == d_layers[1].weights.shape:",
            "    d_layers[0], d_layers[1] = d_layers[1], d_layers[0]",
        ),
        "swapped",
    ),
    _mutant(
        "last_row_forgotten",
        "the last input's weights left at zero",
        in_result(
            "last = d_layers[0].weights.at[-1].set(0)",
            "d_layers[0] = d_layers[0]._replace(weights=last)",
        ),
        "layer",
        "slice",
    ),
    _mutant(
        "one_element",
        "one output weight by half too large",
        in_result(
            "one = d_layers[-1].weights.at[1, 2].multiply(1.5)",
            "d_layers[-1] = d_layers[-1]._replace(weights=one)",
        ),
        "layer",
        "element",
    ),
    _mutant(
        "activation_derivative_missing",
        "(19) left out",
        in_backprop(DOWN, "d_outputs = d_inputs"),
        "activation",
    ),
    _mutant(
        "activation_derivative_doubled",
        "(19) twice",
        in_backprop(DOWN, f"{DOWN}; d_outputs = activation.backward(d_outputs, layer_input)"),
        "activation",
    ),
    _mutant(
        "derivative_of_the_pre_activation",
        "Z (1 - Z) for O (1 - O)",
        (
            Edit(
                "activations",
                SIGMOID,
                "z = jnp.log(activations / (1 - activations)); return d_activations * z * (1 - z)",
            ),
            Edit(
                "activations",
                TANH,
                "z = jnp.arctanh(activations); return d_activations * (1 - z) * (1 + z)",
            ),
        ),
        "activation",
    ),
    _mutant(
        "bias_mean_for_sum",
        "the mean over the batch a second time, in the biases",
        in_layer(biases="jnp.mean(d_outputs, axis=0)"),
        "layer",
    ),
    _mutant(
        "stale_weights",
        "the layer above is updated before its weights are used",
        in_backprop(
            DENSE,
            "dense_backward(d_outputs, layer_input, layer._replace("
            "weights=layer.weights - 0.5 * layer_input.T @ d_outputs))",
        ),
        "layer",
    ),
    _mutant(
        "one_class",
        "(17) as printed: one output instead of the sum over all",
        in_network(D_INPUTS, "d_inputs = d_outputs[:, :1] @ layer.weights[:, :1].T"),
        "layer",
    ),
    _mutant(
        "penalty_missing",
        "the penalty is in the loss alone",
        in_network(PENALTY, f"{PENALTY.replace('l2 *', '0 * l2 *')}"),
        "penalty",
    ),
    _mutant(
        "penalty_without_half",
        "the penalty's gradient twice",
        in_network(PENALTY, f"{PENALTY.replace('l2 *', '2 * l2 *')}"),
        "penalty",
    ),
    _mutant(
        "first_example_only",
        "(16) and (21) as printed: one example",
        in_layer(weights="inputs[:1].T @ d_outputs[:1]", biases="jnp.sum(d_outputs[:1], axis=0)"),
        "layer",
        "mean",
    ),
    _mutant(
        "label_not_subtracted",
        "Y for Y - L",
        (
            Edit(
                "losses.classes",
                "at_label = -jnp.sum(probabilities, axis=1, keepdims=True)",
                "at_label = 1 - jnp.sum(probabilities, axis=1, keepdims=True)",
            ),
        ),
        "loss",
    ),
)
