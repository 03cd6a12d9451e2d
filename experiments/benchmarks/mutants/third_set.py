"""The third set of mutants: mistakes that people make who write backpropagation by hand.

Written after the diagnosis was frozen a second time, by somebody who had not seen it, of mistakes
other than those of the first two sets. As frozen it named 11 of the 20.
"""

from __future__ import annotations

from first_set import (
    D_INPUTS,
    D_LOGITS,
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

_mutant = of_set(3)
FORWARD = "*inputs, logits = layer_inputs(params, block.inputs, network=network)"
GRADS = "jax.tree.map(jnp.add, grads, penalty_grads)"
ONE_HOT = "jax.nn.one_hot(block.targets, logits.shape[1], dtype=logits.dtype)"
TARGETS = f"((1 - label_smoothing) * {ONE_HOT} + label_smoothing / logits.shape[1])"
SOFTMAX = "jax.nn.softmax(logits)"
MICRO_BATCH = 5  # divides neither 17 nor 32


def _error(per_example: str) -> tuple[Edit, ...]:
    """Put another error of the output in the place of Y - L."""
    return in_backprop(D_LOGITS, f"({per_example}) / total")


THIRD_SET = (
    _mutant(
        "softmax_sum_without_axis",
        "softmax normalised over the whole array",
        _error(f"jax.nn.softmax(logits, axis=(0, 1)) - {TARGETS}"),
        "loss",
    ),
    _mutant(
        "softmax_twice",
        "probabilities given to a loss that takes logits",
        _error(f"jax.nn.softmax({SOFTMAX}) - {TARGETS}"),
        "loss",
    ),
    _mutant(
        "softmax_jacobian_diagonal",
        "-L/Y times Y (1 - Y): the Jacobian's other terms forgotten",
        _error(f"{TARGETS} * ({SOFTMAX} - 1)"),
        "loss",
    ),
    _mutant(
        "sigmoid_for_softmax",
        "the error of sigmoid outputs with binary cross-entropy",
        _error(f"jax.nn.sigmoid(logits) - {TARGETS}"),
        "loss",
    ),
    _mutant(
        "labels_shuffled_alone",
        "labels in another order than the inputs",
        in_backprop(
            D_LOGITS,
            D_LOGITS.replace(
                "block.targets", "jax.random.permutation(jax.random.key(1), block.targets)"
            ),
        ),
        "loss",
    ),
    _mutant(
        "repeated_indices_count_once",
        "dW[:, labels] -= h in numpy: the last example of a class overwrites the others",
        in_result(
            "same = block.targets[:, None] == block.targets[None, :]",
            "later = jnp.any(jnp.triu(same, 1), axis=1, keepdims=True)",
            f"lost = later * (1 - label_smoothing) * {ONE_HOT} / total",
            "weights = d_layers[-1].weights + inputs[-1].T @ lost",
            "d_layers[-1] = Layer(weights, d_layers[-1].biases + jnp.sum(lost, axis=0))",
        ),
        "loss",
    ),
    _mutant(
        "labels_broadcast_over_the_batch",
        "each example's output against every label, then averaged",
        _error(f"{SOFTMAX} - jnp.mean({TARGETS}, axis=0, keepdims=True)"),
        "loss",
    ),
    _mutant(
        "ignore_index_zero",
        "class 0 taken as padding",
        in_backprop(D_LOGITS, f"{D_LOGITS} * (block.targets != 0)[:, None]"),
        "loss",
        "mean",
    ),
    _mutant(
        "derivative_applies_the_activation_again",
        "s(O) (1 - s(O)), 1 - tanh(O)^2: written for Z, called with O",
        (
            Edit(
                "activations",
                SIGMOID,
                "s = jax.nn.sigmoid(activations); return d_activations * s * (1 - s)",
            ),
            Edit("activations", TANH, "return d_activations * (1 - jnp.tanh(activations) ** 2)"),
        ),
        "activation",
    ),
    _mutant(
        "down_through_the_gradient",
        "dW for W in (18)",
        in_network(D_INPUTS, "d_inputs = d_outputs @ (inputs.T @ d_outputs).T"),
        "layer",
    ),
    _mutant(
        "wrong_column_for_the_bias",
        "bias row on top of W, the last column removed for the first: errors move one unit on",
        in_network(
            D_INPUTS,
            "d_inputs = d_outputs @ jnp.concatenate((layer.biases[None, :], layer.weights))[:-1].T",
        ),
        "layer",
    ),
    _mutant(
        "mean_of_micro_batch_means",
        "micro-batches of unequal size count the same",
        in_backprop(
            D_LOGITS,
            f"{D_LOGITS}; n, m = logits.shape[0], {MICRO_BATCH}; "
            "sizes = jnp.where(jnp.arange(n) < n // m * m, m, n % m).astype(logits.dtype); "
            "d_outputs = d_outputs * (n / (-(-n // m) * sizes))[:, None]",
        ),
        "mean",
    ),
    _mutant(
        "accumulation_overwrites",
        "= for +=: the second of two micro-batches alone",
        in_layer(
            weights="inputs[inputs.shape[0] // 2 :].T @ d_outputs[inputs.shape[0] // 2 :]",
            biases="jnp.sum(d_outputs[inputs.shape[0] // 2 :], axis=0)",
        ),
        "layer",
        "mean",
    ),
    _mutant(
        "error_averaged_before_it_goes_down",
        "one mean error of a unit for all examples, times each one's derivative",
        in_backprop(
            DOWN, "d_inputs = jnp.broadcast_to(jnp.mean(d_inputs, axis=0), d_inputs.shape); " + DOWN
        ),
        "layer",
        "activation",
    ),
    _mutant(
        "bias_sum_without_axis",
        "each bias gets the sum over examples and units",
        in_layer(biases="jnp.broadcast_to(jnp.sum(d_outputs), layer.biases.shape)"),
        "layer",
    ),
    _mutant(
        "penalty_skips_the_first_row",
        "a bias row left out of the penalty where there is none",
        in_network(
            PENALTY, PENALTY.replace("l2 * layer.weights", "l2 * layer.weights.at[0].set(0)")
        ),
        "penalty",
    ),
    _mutant(
        "smoothing_over_the_others",
        "s / (K - 1) for the other classes, 1 - s at the label",
        in_backprop(
            D_LOGITS,
            D_LOGITS.replace(
                "label_smoothing", "label_smoothing * logits.shape[1] / (logits.shape[1] - 1)"
            ),
        ),
        "loss",
    ),
    _mutant(
        "reshape_for_transpose",
        "the inputs reshaped to (fan_in, N)",
        in_layer(weights="inputs.reshape(inputs.shape[::-1]) @ d_outputs"),
        "layer",
    ),
    _mutant(
        "unrolled_by_columns",
        "flattened in Fortran's order, restored in C's",
        in_backprop(
            GRADS,
            "tuple(layer._replace(weights=layer.weights.T.reshape(layer.weights.shape)) "
            f"for layer in {GRADS})",
        ),
        "permuted",
        "transposed",
    ),
    _mutant(
        "activations_in_8_bits",
        "hidden activations rounded to 1/255 for the backward pass",
        in_backprop(
            FORWARD,
            f"{FORWARD}; inputs = [inputs[0], *(jnp.round(o * 255) / 255 for o in inputs[1:])]",
        ),
        "layer",
    ),
)
