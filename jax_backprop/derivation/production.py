"""The same right sides computed by the code that trains networks, a batch of one where need be."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from jax_backprop import activations, losses, network
from jax_backprop.backprop import value_and_grad
from jax_backprop.derivation.definitions import Function
from jax_backprop.settings import Network
from jax_backprop.types import AnyArray, Batch, Layer, Params, Scalars


def pre_activations(inputs: AnyArray, hidden_weights: AnyArray, hidden_biases: AnyArray) -> Array:
    """(1) by ``network.dense``."""
    return network.dense(_row(inputs), _layer(hidden_weights, hidden_biases))[0]


def hidden(pre_activations: AnyArray) -> Array:
    """(2) by ``activations.sigmoid``."""
    return activations.sigmoid(_row(pre_activations))[0]


def logits(hidden: AnyArray, output_weights: AnyArray, output_biases: AnyArray) -> Array:
    """(3) by ``network.dense``."""
    return network.dense(_row(hidden), _layer(output_weights, output_biases))[0]


def loss(logits: AnyArray, labels: AnyArray) -> Array:
    """(4) and (5) by ``losses.softmax_cross_entropy``."""
    return losses.softmax_cross_entropy(_row(logits), _label(labels))[0]


def d_logits(logits: AnyArray, labels: AnyArray) -> Array:
    """(14) by ``losses.softmax_cross_entropy_backward``."""
    return losses.softmax_cross_entropy_backward(_row(logits), _label(labels))[0]


def outputs(logits: AnyArray, labels: AnyArray) -> Array:
    """(4) by ``losses.softmax_cross_entropy_backward``, which is Y - L."""
    return d_logits(logits, labels) + labels


def logits_by_hidden(output_weights: AnyArray, output_biases: AnyArray, hidden: AnyArray) -> Array:
    """(18) by ``network.dense_backward``: what it returns for each unit vector of d_logits."""
    classes = output_biases.shape[0]
    repeated = jnp.repeat(_row(hidden), classes, axis=0)
    layer = _layer(output_weights, output_biases)
    return network.dense_backward(jnp.eye(classes), repeated, layer)[0]


def logits_by_output_weights(
    hidden: AnyArray, output_weights: AnyArray, output_biases: AnyArray
) -> Array:
    """(15) by ``network.dense_backward``: its d_weights where every d_logit is 1."""
    d_logits = jnp.ones((1, *output_biases.shape))
    layer = _layer(output_weights, output_biases)
    return network.dense_backward(d_logits, _row(hidden), layer)[1].weights


def pre_activations_by_hidden_weights(
    inputs: AnyArray, hidden_weights: AnyArray, hidden_biases: AnyArray
) -> Array:
    """(20) by ``network.dense_backward``, as for (15)."""
    return logits_by_output_weights(inputs, hidden_weights, hidden_biases)


def sigmoid_slope(hidden: AnyArray) -> Array:
    """(19) by ``activations.sigmoid_backward``."""
    return activations.sigmoid_backward(jnp.ones_like(_row(hidden)), _row(hidden))[0]


def d_logits_of_batch(logits: AnyArray, labels: AnyArray) -> Array:
    """(14) for N examples, as ``backprop`` divides it by N."""
    rows = losses.softmax_cross_entropy_backward(jnp.asarray(logits), jnp.argmax(labels, axis=1))
    return rows / len(labels)


def d_hidden(
    logits: AnyArray,
    labels: AnyArray,
    hidden: AnyArray,
    output_weights: AnyArray,
    output_biases: AnyArray,
) -> Array:
    """(18) for N examples by ``network.dense_backward``."""
    layer = _layer(output_weights, output_biases)
    return network.dense_backward(d_logits_of_batch(logits, labels), jnp.asarray(hidden), layer)[0]


def d_pre_activations(
    logits: AnyArray,
    labels: AnyArray,
    hidden: AnyArray,
    output_weights: AnyArray,
    output_biases: AnyArray,
) -> Array:
    """(19) for N examples by ``activations.sigmoid_backward``."""
    d_activations = d_hidden(logits, labels, hidden, output_weights, output_biases)
    return activations.sigmoid_backward(d_activations, jnp.asarray(hidden))


def _of_training(pick: Callable[[tuple[Scalars, Params]], Array]) -> Function:
    """Return a part of what ``backprop.value_and_grad`` returns for N examples."""

    def of(
        inputs: AnyArray,
        labels: AnyArray,
        hidden_weights: AnyArray,
        hidden_biases: AnyArray,
        output_weights: AnyArray,
        output_biases: AnyArray,
    ) -> Array:
        layers = _layer(hidden_weights, hidden_biases), _layer(output_weights, output_biases)
        batch = Batch(jnp.atleast_2d(inputs), jnp.argmax(jnp.atleast_2d(labels), axis=1))
        sizes = (*hidden_weights.shape, *output_biases.shape)
        return pick(value_and_grad(layers, batch, network=Network(layer_sizes=sizes)))

    return of


mean_loss = _of_training(lambda found: found[0])  # (5) for N examples


def leaf(layer: int, name: str) -> Function:
    """Return the function that gives one leaf of ``backprop.value_and_grad``'s gradient."""
    return _of_training(lambda found: getattr(found[1][layer], name))


def _layer(weights: AnyArray, biases: AnyArray) -> Layer:
    return Layer(jnp.asarray(weights), jnp.asarray(biases))


def _row(vector: AnyArray) -> Array:
    return jnp.asarray(vector)[None, :]


def _label(labels: AnyArray) -> Array:
    return jnp.argmax(_row(labels), axis=1)
