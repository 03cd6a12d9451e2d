"""The network: initial parameters, forward pass, loss and metrics, as pure functions.

Parameters with one more axis at the end, ``lanes``, are those of many networks side by side.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jax_backprop import lanes
from jax_backprop.activations import ACTIVATIONS
from jax_backprop.blocks import BlockSize
from jax_backprop.errors import InputError
from jax_backprop.losses import LOSSES
from jax_backprop.metrics import Chosen, chosen_metrics, streamed
from jax_backprop.parametrization import init_factors
from jax_backprop.reading import check_memory
from jax_backprop.settings import Network
from jax_backprop.types import (
    AnyArray,
    Batch,
    Evaluation,
    Layer,
    Params,
    Penalties,
    Scalar,
    Scalars,
    Scaling,
)

COPIES = 4  # of the parameters: themselves, their gradient, an optimizer's two moments


def init_params(network: Network, *, key: Array, init_scale: float | Scalar = 1.0) -> Params:
    """Draw initial parameters: weights ~ Normal(0, (init_scale * gain)^2 / fan_in), biases zero.

    The gain is 1 for sigmoid and tanh, and sqrt(2) after a ReLU layer. Other parametrisations than
    the standard one start their output layer smaller: ``parametrization.init_factors``.

    Args:
      network: its layer sizes and activation.
      key: of JAX's random numbers; layer l draws from ``fold_in(key, l)``.
      init_scale: factor of all initial weights.

    Returns:
      One Layer a weight matrix, in JAX's default float.

    Raises:
      InputError: the parameters would take more than half of the memory here.

    Example:
      >>> import jax_backprop as jb
      >>> network = jb.Network(layer_sizes=(64, 32, 10))
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> [(layer.weights.shape, layer.biases.shape) for layer in params]
      [((64, 32), (32,)), ((32, 10), (10,))]

    References:
      LeCun et al. (1998), "Efficient BackProp", eq. 16.
      He et al. (2015), "Delving deep into rectifiers", eq. 10.
    """
    sizes = network.layer_sizes
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
    check_memory(f"network {'-'.join(map(str, sizes))}", COPIES * 4 * parameters)
    gain = ACTIVATIONS[network.activation].init_gain
    layers = []
    factors = init_factors(network)
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        layer_key = jax.random.fold_in(key, index)
        scale = init_scale * factors[index] * (gain if index > 0 else 1.0) / fan_in**0.5
        weights = scale * jax.random.normal(layer_key, (fan_in, fan_out))
        layers.append(Layer(weights, jnp.zeros(fan_out)))
    return tuple(layers)


def dense(
    inputs: Float[Array, "batch fan_in *maybe_lanes"], layer: Layer
) -> Float[Array, "batch fan_out *lanes"]:
    """Return Z = inputs W + b: homework (1) for the hidden layer, (3) for the output layer.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_backprop import Layer
      >>> dense(jnp.ones((1, 2)), Layer(jnp.ones((2, 3)), jnp.arange(3.0)))
      Array([[2., 3., 4.]], dtype=float32)
    """
    if layer.weights.ndim > 2:
        return lanes.dense(inputs, layer)
    return inputs @ layer.weights + layer.biases[None, :]


def dense_backward(
    d_outputs: Float[Array, "batch fan_out *lanes"],
    inputs: Float[Array, "batch fan_in *maybe_lanes"],
    layer: Layer,
) -> tuple[Float[Array, "batch fan_in *maybe_lanes"], Layer]:
    """Return d_inputs = d_outputs W^T and the sums over the batch of d_weights and d_biases.

    d_weights is homework (15), (16) and (20), (21), summed over examples, which the homework leaves
    at one. d_inputs is (18) with the sum over all outputs that (17) and (21) lack. d_biases, which
    it doesn't derive, is the sum of d_outputs, since dZ/db = 1.

    Args:
      d_outputs: dE/dZ, (batch, fan_out).
      inputs: what ``dense`` was given, (batch, fan_in).
      layer: as there.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_backprop import Layer
      >>> layer = Layer(jnp.ones((2, 3)), jnp.zeros(3))
      >>> d_inputs, d_layer = dense_backward(jnp.ones((4, 3)), jnp.ones((4, 2)), layer)
      >>> d_inputs.shape, d_layer.biases
      ((4, 2), Array([4., 4., 4.], dtype=float32))
    """
    if layer.weights.ndim > 2:
        return lanes.dense_backward(d_outputs, inputs, layer)
    d_inputs = d_outputs @ layer.weights.T
    d_layer = Layer(weights=inputs.T @ d_outputs, biases=jnp.sum(d_outputs, axis=0))
    return d_inputs, d_layer


def layer_inputs(
    params: Params, inputs: Shaped[AnyArray, "batch inputs"], *, network: Network
) -> list[Float[Array, "batch units *maybe_lanes"]]:
    """Return the input of every layer, then the logits: what a backward pass needs to keep.

    Raises:
      InputError: the inputs are integers: bytes that nobody scaled would saturate the network.
    """
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise InputError(
            "inputs",
            got=f"{inputs.dtype}, which is not scaled",
            expected="floats",
            remedy="Pass scaling=data.scaling, or data.scaling.apply(inputs); `fit` does.",
        )
    activation = ACTIVATIONS[network.activation].forward
    values = [jnp.asarray(inputs, params[0].weights.dtype)]
    for layer in params[:-1]:
        values.append(activation(dense(values[-1], layer)))
    values.append(dense(values[-1], params[-1]))
    return values


def forward(
    params: Params, inputs: Shaped[AnyArray, "batch inputs"], *, network: Network
) -> Float[Array, "batch classes *lanes"]:
    """Return the logits: homework (1) to (3). Their softmax, (4), is taken inside the loss.

    Args:
      params: one Layer a weight matrix.
      inputs: floats, (batch, inputs).
      network: static.

    Returns:
      Logits, (batch, classes).

    Raises:
      InputError: the inputs are integers: bytes that nobody scaled would saturate the network.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> jb.forward(params, data.test.inputs, network=network).shape
      (8, 2)
    """
    return layer_inputs(params, inputs, network=network)[-1]


def l2_penalty(params: Params, l2: float | Scalar) -> Scalars:
    """Return l2 / 2 times the sum of all squared weights; biases are left out."""
    squares = [jnp.sum(layer.weights**2, axis=(0, 1)) for layer in params]
    return 0.5 * l2 * sum(squares[1:], squares[0])


def l2_penalty_backward(params: Params, l2: float | Scalar) -> Params:
    """Return the penalty's gradient: l2 W for the weights, zero for the biases."""
    return tuple(Layer(l2 * layer.weights, jnp.zeros_like(layer.biases)) for layer in params)


def loss(
    params: Params, batch: Batch, *, network: Network, penalties: Penalties = Penalties()
) -> Scalars:
    """Return the mean loss over the batch, homework (5) for N examples, plus the penalties.

    The MEAN over examples: a sum would multiply the gradient, and so the learning rate, by N.

    Args:
      params: one Layer a weight matrix.
      batch: inputs (batch, inputs), and labels (batch,) in 0..K-1 or numbers (batch, classes).
      network: static.
      penalties: weight decay in the loss (l2), and label smoothing.

    Returns:
      Nats per example for cross-entropy.

    Raises:
      InputError: the inputs are integers that nothing scales.

    Example:
      A network that says nothing has a loss of log K:

      >>> import jax, jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init, init_scale=0.0)
      >>> round(float(jb.loss(params, data.train, network=network)), 4)
      0.6931
    """
    logits = forward(params, batch.inputs, network=network)
    losses = LOSSES[network.loss].forward(logits, batch.targets, penalties.label_smoothing)
    if batch.weights is None:
        mean = jnp.mean(losses, axis=0)
    else:
        mean = jnp.sum(batch.weighted(losses), axis=0) / batch.total_weight(losses.dtype)
    return mean + l2_penalty(params, penalties.l2)


def evaluate(
    params: Params,
    batch: Batch,
    *,
    network: Network,
    block_size: BlockSize = "auto",
    scaling: Scaling = Scaling(),
    metrics: Chosen = None,
) -> Evaluation:
    """Return mean loss, without penalties, and metrics over any number of examples.

    Args:
      params: one Layer a weight matrix.
      batch: inputs (batch, inputs) and labels (batch,) in 0..K-1, or numbers (batch, classes).
      network: static.
      block_size: examples at a time; None for all at once.
      scaling: the data set's; features are scaled block by block.
      metrics: names, or (name, function) of one's own, ``(outputs, targets) -> values``; None for
        the accuracy of classes, or R2 and mean absolute error of numbers.

    Returns:
      The loss, in nats per example for cross-entropy, and the metrics by name.

    Raises:
      InputError: the inputs are integers that nothing scales; a metric of other targets.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init, init_scale=0.0)
      >>> found = jb.evaluate(params, data.test, network=network)
      >>> round(float(found.loss), 4), float(found.accuracy)
      (0.6931, 0.5)
    """
    loss = LOSSES[network.loss]
    chosen = chosen_metrics(metrics, network.loss, batch.targets)
    of_classes = loss.kind(batch.targets) == "classes"
    origin = batch.targets[:1] if any(each.shifted for each in chosen.values()) else None

    def told(block: Batch) -> tuple[Scalars, dict[str, Any]]:
        scaled = block._replace(inputs=scaling.apply(block.inputs))
        logits, targets = forward(params, scaled.inputs, network=network), scaled.targets
        losses = loss.forward(logits, targets, 0.0)
        outputs = logits if of_classes else loss.predict(logits)
        return losses, {
            name: each.values(outputs, targets, origin) for name, each in chosen.items()
        }

    return streamed(told, chosen, batch, block_size)
