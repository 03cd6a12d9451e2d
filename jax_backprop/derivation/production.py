"""The same right sides computed by the code that trains networks, a batch of one where need be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jax_backprop import activations, losses, network
from jax_backprop.backprop import value_and_grad
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Layer


def pre_activations(inputs: Any, hidden_weights: Any, hidden_biases: Any) -> Any:
    """(1) by ``network.dense``."""
    return network.dense(_row(inputs), Layer(hidden_weights, hidden_biases))[0]


def hidden(pre_activations: Any) -> Any:
    """(2) by ``activations.sigmoid``."""
    return activations.sigmoid(_row(pre_activations))[0]


def logits(hidden: Any, output_weights: Any, output_biases: Any) -> Any:
    """(3) by ``network.dense``."""
    return network.dense(_row(hidden), Layer(output_weights, output_biases))[0]


def loss(logits: Any, labels: Any) -> Any:
    """(4) and (5) by ``losses.softmax_cross_entropy``."""
    return losses.softmax_cross_entropy(_row(logits), _label(labels))[0]


def d_logits(logits: Any, labels: Any) -> Any:
    """(14) by ``losses.softmax_cross_entropy_backward``."""
    return losses.softmax_cross_entropy_backward(_row(logits), _label(labels))[0]


def outputs(logits: Any, labels: Any) -> Any:
    """(4) by ``losses.softmax_cross_entropy_backward``, which is Y - L."""
    return d_logits(logits, labels) + labels


def logits_by_hidden(output_weights: Any, output_biases: Any, hidden: Any) -> Any:
    """(18) by ``network.dense_backward``: what it returns for each unit vector of d_logits."""
    classes = output_biases.shape[0]
    repeated = jnp.repeat(_row(hidden), classes, axis=0)
    layer = Layer(jnp.asarray(output_weights), output_biases)
    return network.dense_backward(jnp.eye(classes), repeated, layer)[0]


def logits_by_output_weights(hidden: Any, output_weights: Any, output_biases: Any) -> Any:
    """(15) by ``network.dense_backward``: its d_weights where every d_logit is 1."""
    layer = Layer(output_weights, output_biases)
    d_logits = jnp.ones((1, *output_biases.shape))
    return network.dense_backward(d_logits, _row(hidden), layer)[1].weights


def pre_activations_by_hidden_weights(inputs: Any, hidden_weights: Any, hidden_biases: Any) -> Any:
    """(20) by ``network.dense_backward``, as for (15)."""
    return logits_by_output_weights(inputs, hidden_weights, hidden_biases)


def sigmoid_slope(hidden: Any) -> Any:
    """(19) by ``activations.sigmoid_backward``."""
    return activations.sigmoid_backward(jnp.ones_like(_row(hidden)), _row(hidden))[0]


def d_logits_of_batch(logits: Any, labels: Any) -> Any:
    """(14) for N examples, as ``backprop`` divides it by N."""
    rows = losses.softmax_cross_entropy_backward(jnp.asarray(logits), jnp.argmax(labels, axis=1))
    return rows / len(labels)


def d_hidden(logits: Any, labels: Any, hidden: Any, output_weights: Any, output_biases: Any) -> Any:
    """(18) for N examples by ``network.dense_backward``."""
    layer = Layer(jnp.asarray(output_weights), output_biases)
    return network.dense_backward(d_logits_of_batch(logits, labels), jnp.asarray(hidden), layer)[0]


def d_pre_activations(
    logits: Any, labels: Any, hidden: Any, output_weights: Any, output_biases: Any
) -> Any:
    """(19) for N examples by ``activations.sigmoid_backward``."""
    d_activations = d_hidden(logits, labels, hidden, output_weights, output_biases)
    return activations.sigmoid_backward(d_activations, jnp.asarray(hidden))


def _of_training(pick: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a part of what ``backprop.value_and_grad`` returns for N examples."""

    def of(
        inputs: Any,
        labels: Any,
        hidden_weights: Any,
        hidden_biases: Any,
        output_weights: Any,
        output_biases: Any,
    ) -> Any:
        arrays = (hidden_weights, hidden_biases, output_weights, output_biases)
        return pick(_value_and_grad(inputs, labels, *arrays))

    return of


mean_loss = _of_training(lambda found: found[0])  # (5) for N examples


def leaf(layer: int, name: str) -> Callable[..., Any]:
    """Return the function that gives one leaf of ``backprop.value_and_grad``'s gradient."""
    return _of_training(lambda found: getattr(found[1][layer], name))


def _value_and_grad(inputs: Any, labels: Any, *arrays: Any) -> Any:
    weights, biases, output_weights, output_biases = map(jnp.asarray, arrays)
    params = (Layer(weights, biases), Layer(output_weights, output_biases))
    batch = Batch(jnp.atleast_2d(inputs), jnp.argmax(jnp.atleast_2d(labels), axis=1))
    sizes = (*weights.shape, output_biases.shape[0])
    return value_and_grad(params, batch, network=Network(layer_sizes=sizes))


def _row(vector: Any) -> Any:
    return jnp.asarray(vector)[None, :]


def _label(labels: Any) -> Any:
    return jnp.argmax(_row(labels), axis=1)
