"""The gradient of the loss, derived by hand: the homework's equations for any depth."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jax_backprop.activations import ACTIVATIONS
from jax_backprop.blocks import BlockSize, sum_over_blocks
from jax_backprop.losses import LOSSES
from jax_backprop.network import dense_backward, l2_penalty, l2_penalty_backward, layer_inputs
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Layer, Params, Penalties, Scalar, Scalars, Scaling


def value_and_grad(
    params: Params,
    batch: Batch,
    *,
    network: Network,
    penalties: Penalties = Penalties(),
    block_size: BlockSize = "auto",
    scaling: Scaling = Scaling(),
) -> tuple[Scalars, Params]:
    """Return the mean loss and its gradient, with the pytree of ``jax.value_and_grad(loss)``.

    A layer Z = O W + b passes the derivative by its outputs on: ``dE/dW = O^T dE/dZ``, ``dE/db`` is
    the sum of ``dE/dZ`` over the batch, ``dE/dO = dE/dZ W^T``: homework (14), (16), (18) to (21).

    Args:
      params: one Layer a weight matrix; their dtype is the dtype of everything here.
      batch: inputs (batch, inputs) and labels (batch,) in 0..K-1 or numbers (batch, classes), of N
        examples; with weights the mean is weighted.
      network: static.
      penalties: traced; a Python 0.0 costs nothing.
      block_size: more examples than this are streamed in blocks of so many rows, in memory that
        doesn't grow with N; None for one whole block.
      scaling: of the features, taken block by block, so that bytes are never floats all at once.

    Returns:
      The loss, in nats per example for cross-entropy, and the gradient, shaped like ``params``.

    Raises:
      InputError: the inputs are integers that nothing scales.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> value, grads = jb.value_and_grad(params, data.train, network=network)
      >>> [layer.weights.shape for layer in grads]
      [(4, 3), (3, 2)]

    References:
      Rumelhart, Hinton, Williams (1986), "Learning representations by back-propagating errors".
    """
    total = batch.total_weight(params[0].weights.dtype)

    def block_sums(block: Batch) -> tuple[Scalars, Params]:
        scaled = block._replace(inputs=scaling.apply(block.inputs))
        return _sum_value_and_grad(params, scaled, total, network, penalties.label_smoothing)

    value, grads = sum_over_blocks(block_sums, batch, block_size)
    if isinstance(penalties.l2, float) and penalties.l2 == 0.0:
        return value, grads
    penalty_grads = l2_penalty_backward(params, penalties.l2)
    return value + l2_penalty(params, penalties.l2), jax.tree.map(jnp.add, grads, penalty_grads)


def _sum_value_and_grad(
    params: Params,
    block: Batch,
    total: int | Scalar,
    network: Network,
    label_smoothing: float | Scalar,
) -> tuple[Scalars, Params]:
    """Return a block's share of the mean over all weights: of the loss and of its gradient."""
    loss, activation = LOSSES[network.loss], ACTIVATIONS[network.activation]
    *inputs, logits = layer_inputs(params, block.inputs, network=network)
    losses = loss.forward(logits, block.targets, label_smoothing)
    value = jnp.sum(block.weighted(losses), axis=0) / total

    # (14); an example that weighs w counts as w examples.
    d_outputs = block.weighted(loss.backward(logits, block.targets, label_smoothing)) / total
    d_layers: list[Layer] = []
    for layer, layer_input in zip(reversed(params), reversed(inputs), strict=True):
        d_inputs, d_layer = dense_backward(d_outputs, layer_input, layer)  # (16), (21); (18)
        d_layers.append(d_layer)
        d_outputs = activation.backward(d_inputs, layer_input)  # (19); unused below the first layer
    return value, tuple(reversed(d_layers))
