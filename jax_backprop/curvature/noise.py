"""The gradient noise scale by hand: norms of single examples' gradients, none of which is made."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_backprop.activations import ACTIVATIONS
from jax_backprop.blocks import BlockSize, sum_over_blocks
from jax_backprop.errors import InputError
from jax_backprop.losses import LOSSES
from jax_backprop.network import dense_backward, l2_penalty_backward, layer_inputs
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Layer, Params, Penalties, Scalar


class NoiseScale(NamedTuple):
    """How much single examples' gradients differ, against the gradient of their mean loss.

    Args:
      scale: ``trace / squared_norm``, in examples: about the batch from which on more examples a
        step save few steps.
      trace: of the covariance of single examples' data gradients.
      squared_norm: of the whole gradient, penalties included.
    """

    scale: Scalar
    trace: Scalar
    squared_norm: Scalar


def gradient_noise_scale(
    params: Params,
    batch: Batch,
    *,
    network: Network,
    penalties: Penalties = Penalties(),
    block_size: BlockSize = "auto",
    unbiased: bool = True,
) -> NoiseScale:
    """Return ``tr(Sigma) / |G|^2`` over all examples, in one streamed backward pass.

    The gradient of one example's own loss by a layer's weights is the outer product of the layer's
    input O and delta = dE/dZ, and by its biases delta. So its squared norm is
    ``|delta|^2 (|O|^2 + 1)``, and the trace of the covariance is the mean of these norms, summed
    over layers, minus the squared norm of the mean gradient.

    Args:
      params: the point; their dtype is the dtype of everything here.
      batch: inputs (batch, inputs) and labels, of N examples without weights.
      network: static.
      penalties: label smoothing is part of an example's loss; l2 of the whole gradient alone.
      block_size: examples a block, None for one whole block.
      unbiased: divide the covariance by N - 1, else by N.

    Returns:
      The scale, the trace and the squared norm.

    Raises:
      InputError: fewer than two examples, or examples with weights.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:40,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> found = jb.gradient_noise_scale(params, data.train, network=network)
      >>> bool(found.scale == found.trace / found.squared_norm)
      True

    References:
      McCandlish et al. (2018), "An empirical model of large-batch training", arXiv:1812.06162.
      Goodfellow (2015), "Efficient per-example gradient computations", arXiv:1510.01799.
    """
    count = batch.examples
    if count < 2 or batch.weights is not None:
        raise InputError(
            "batch",
            got=f"{count} example" if count < 2 else "examples with weights",
            expected="two examples or more, each of which counts once",
            remedy="Leave the weights out." if count > 1 else "Pass the whole training split.",
        )

    def block_sums(block: Batch) -> tuple[Scalar, Params]:
        return _squares_and_grads(params, block, network, penalties.label_smoothing)

    squares, sums = sum_over_blocks(block_sums, batch, block_size)
    mean = jax.tree.map(lambda leaf: leaf / count, sums)
    trace = (squares - count * _squared_norm(mean)) / (count - unbiased)
    whole = jax.tree.map(jnp.add, mean, l2_penalty_backward(params, penalties.l2))
    norm = _squared_norm(whole)
    return NoiseScale(trace / norm, trace, norm)


def _squares_and_grads(
    params: Params, block: Batch, network: Network, label_smoothing: float | Scalar
) -> tuple[Scalar, Params]:
    """Return a block's sums of the squared norms of its examples' gradients, and of these."""
    loss, activation = LOSSES[network.loss], ACTIVATIONS[network.activation]
    *inputs, logits = layer_inputs(params, block.inputs, network=network)
    delta = loss.backward(logits, block.targets, label_smoothing)
    squares = jnp.zeros((), params[0].weights.dtype)
    grads: list[Layer] = []
    for layer, layer_input in zip(reversed(params), reversed(inputs), strict=True):
        squares += jnp.sum(_row_squares(delta) * (_row_squares(layer_input) + 1))
        d_inputs, d_layer = dense_backward(delta, layer_input, layer)
        grads.append(d_layer)
        delta = activation.backward(d_inputs, layer_input)  # unused below the first layer
    return squares, tuple(reversed(grads))


def _row_squares(values: Float[Array, "batch units"]) -> Float[Array, " batch"]:
    return jnp.sum(values**2, axis=1)


def _squared_norm(grads: Params) -> Scalar:
    return sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(grads)), start=jnp.zeros(()))
