"""Products of a direction with the loss's Hessian and Gauss-Newton matrix, derived by hand.

Pearlmutter (1994, "Fast exact multiplication by the Hessian", Neural Computation 6) differentiates
the gradient's own equations along a direction V in the space of parameters: for any quantity x,
R{x} = d/dt x(params + t V) at t = 0, so R{params} = V and R{gradient} = Hessian V. R obeys the
rules of derivatives, and what doesn't depend on the parameters (inputs, labels) has R = 0. For
weights W and biases b of a layer, whose part of V is (V_W, V_b), and its input O:

| homework   | gradient         | differentiated along V                            |
|------------|------------------|---------------------------------------------------|
| (1), (3)   | Z = O W + b      | R{Z} = R{O} W + O V_W + V_b                       |
| (2)        | O = s(Z)         | R{O} = s'(Z) R{Z}                                 |
| (14)       | dZ = (Y - L) / N | R{dZ} = H R{Z} / N, H = d2E/dZ2 = diag(Y) - Y Y^T |
| (16), (21) | dW = O^T dZ      | R{dW} = R{O}^T dZ + O^T R{dZ}                     |
|            | db = 1^T dZ      | R{db} = 1^T R{dZ}                                 |
| (18)       | dO = dZ W^T      | R{dO} = R{dZ} W^T + dZ V_W^T                      |
| (19)       | dZ = s'(Z) dO    | R{dZ} = s'(Z) R{dO} + s''(Z) R{Z} dO              |
| penalty    | dW += l2 W       | R{dW} += l2 V_W                                   |

(dX stands for dE/dX; rows are examples.) Everything but the penalty is a sum over examples, so both
products are streamed over blocks of them, like the gradient. A first layer takes 3 matrix products
where the gradient takes 2, any other 8 where it takes 3: on digits, 64-32-10, a product takes 1.3
to 1.6 times as long as a gradient. Nothing of the Hessian's size is ever made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jax_backprop.activations import ACTIVATIONS
from jax_backprop.blocks import BlockSize, sum_over_blocks
from jax_backprop.losses import LOSSES
from jax_backprop.network import dense, dense_backward, l2_penalty_backward
from jax_backprop.settings import Network
from jax_backprop.types import Batch, Layer, Params, Penalties, Scalar

Values: TypeAlias = Float[Array, "batch units"]
# (params, batch, direction), network, penalties -> product: either of the two below.
VectorProduct: TypeAlias = Callable[..., Params]


class _Pass(NamedTuple):
    """What a forward pass and its derivative along the direction leave behind."""

    inputs: list[Values]  # of every layer
    r_inputs: list[Values | None]  # None for the first layer's, which don't depend on parameters
    r_hidden: list[Values]  # R{Z} of every hidden layer
    logits: Values
    r_logits: Values


def hessian_vector_product(
    params: Params,
    batch: Batch,
    direction: Params,
    *,
    network: Network,
    penalties: Penalties = Penalties(),
    block_size: BlockSize = "auto",
) -> Params:
    """Return the Hessian of ``network.loss`` at ``params`` times ``direction``, by the R-operator.

    Args:
      params: the point; their dtype is the dtype of everything here.
      batch: inputs (batch, inputs) and labels, as in ``backprop.value_and_grad``.
      direction: with the pytree, shapes and dtype of ``params``.
      network: static. A ReLU's kinks have no curvature here: the product is of the piece of the
        loss on which ``params`` lie.
      penalties: traced, as in ``backprop.value_and_grad``. Label smoothing is linear in the logits,
        yet matters: it changes dZ, which the last two terms of the table meet.
      block_size: examples a block, None for one whole block.

    Returns:
      Hessian times direction, with the pytree of ``params``.

    Example:
      >>> import jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 3, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> grads = jb.value_and_grad(params, data.train, network=network)[1]
      >>> product = jb.hessian_vector_product(params, data.train, grads, network=network)
      >>> [layer.weights.shape for layer in product]
      [(4, 3), (3, 2)]

    References:
      Pearlmutter (1994), "Fast exact multiplication by the Hessian", Neural Computation 6.
    """
    total = batch.total_weight(params[0].weights.dtype)

    def block_product(block: Batch) -> Params:
        return _hessian_block(params, block, direction, total, network, penalties.label_smoothing)

    product = sum_over_blocks(block_product, batch, block_size)
    return _add_penalty(product, direction, penalties)


def gauss_newton_vector_product(
    params: Params,
    batch: Batch,
    direction: Params,
    *,
    network: Network,
    penalties: Penalties = Penalties(),
    block_size: BlockSize = "auto",
) -> Params:
    """Return the generalised Gauss-Newton matrix times ``direction``.

    It is the Hessian without the terms that hold dZ: J^T H J / N. J is the Jacobian of the logits,
    H the losses' Hessian by them; the penalty adds its own Hessian, l2 on weights. H of each loss
    is positive semi-definite, so this matrix is too. It is the Hessian where the logits are linear
    in the parameters (one layer), and nears it as the residuals dZ vanish. Arguments as in
    ``hessian_vector_product``; label smoothing has no influence.

    Example:
      One layer has no other curvature:

      >>> import jax, jax_backprop as jb
      >>> network, data = jb.Network(layer_sizes=(4, 2)), jb.load_dataset("noise:8,4,2")
      >>> params = jb.init_params(network, key=jb.role_keys(0).init)
      >>> given = (params, data.train, params)
      >>> both = [f(*given, network=network)[0].weights for f in (
      ...     gauss_newton_vector_product, jb.hessian_vector_product)]
      >>> bool(abs(both[0] - both[1]).max() < 1e-6)
      True

    References:
      Schraudolph (2002), "Fast curvature matrix-vector products for second-order gradient
      descent", Neural Computation 14.
    """
    total = batch.total_weight(params[0].weights.dtype)

    def block_product(block: Batch) -> Params:
        return _gauss_newton_block(params, block, direction, total, network)

    product = sum_over_blocks(block_product, batch, block_size)
    return _add_penalty(product, direction, penalties)


def _forward(params: Params, block: Batch, direction: Params, network: Network) -> _Pass:
    """Run the forward pass and its derivative along the direction, side by side."""
    activation = ACTIVATIONS[network.activation]
    value = jnp.asarray(block.inputs, params[0].weights.dtype)
    r_value: Values | None = None
    inputs, r_inputs, r_hidden = [], [], []
    logits = r_logits = value
    for index, (layer, r_layer) in enumerate(zip(params, direction, strict=True)):
        inputs.append(value)
        r_inputs.append(r_value)
        logits = dense(value, layer)  # (1), (3)
        r_logits = dense(value, r_layer)  # R{(1)}, R{(3)}: O V_W + V_b ...
        if r_value is not None:
            r_logits = r_logits + r_value @ layer.weights  # ... + R{O} W
        if index < len(params) - 1:
            value = activation.forward(logits)  # (2)
            r_value = activation.backward(r_logits, value)  # R{(2)}: s'(Z) R{Z}
            r_hidden.append(r_logits)
    return _Pass(inputs, r_inputs, r_hidden, logits, r_logits)


def _hessian_block(
    params: Params,
    block: Batch,
    direction: Params,
    total: int | Scalar,
    network: Network,
    label_smoothing: float | Scalar,
) -> Params:
    """Return a block's share of Hessian times direction, the mean over all weights taken."""
    loss, activation = LOSSES[network.loss], ACTIVATIONS[network.activation]
    run = _forward(params, block, direction, network)
    targets = block.targets
    d_outputs = loss.backward(run.logits, targets, label_smoothing)  # (14)
    d_outputs = block.weighted(d_outputs) / total
    # R{(14)}: H R{Z}
    r_d_outputs = block.weighted(loss.hessian_product(run.logits, targets, run.r_logits)) / total
    products: list[Layer] = []
    for index in reversed(range(len(params))):
        layer_input, r_input = run.inputs[index], run.r_inputs[index]
        # R{(16)}, R{(21)}: O^T R{dZ}, and R{(18)}: R{dZ} W^T ...
        r_d_inputs, r_d_layer = dense_backward(r_d_outputs, layer_input, params[index])
        if r_input is not None:
            # ... + R{O}^T dZ, ... + dZ V_W^T
            r_d_weights = r_d_layer.weights + r_input.T @ d_outputs
            r_d_layer = r_d_layer._replace(weights=r_d_weights)
            r_d_inputs = r_d_inputs + d_outputs @ direction[index].weights.T
            d_inputs = d_outputs @ params[index].weights.T  # (18)
            # R{(19)}: s'(Z) R{dO} + s''(Z) R{Z} dO
            curvature = activation.second_derivative(layer_input)
            r_d_outputs = activation.backward(r_d_inputs, layer_input)
            r_d_outputs = r_d_outputs + curvature * run.r_hidden[index - 1] * d_inputs
            d_outputs = activation.backward(d_inputs, layer_input)  # (19)
        products.append(r_d_layer)
    return tuple(reversed(products))


def _gauss_newton_block(
    params: Params, block: Batch, direction: Params, total: int | Scalar, network: Network
) -> Params:
    """Return a block's share of J^T H J V: R{Z}, then H, then backpropagation."""
    loss, activation = LOSSES[network.loss], ACTIVATIONS[network.activation]
    run = _forward(params, block, direction, network)
    d_outputs = loss.hessian_product(run.logits, block.targets, run.r_logits)
    d_outputs = block.weighted(d_outputs) / total
    products: list[Layer] = []
    for layer, layer_input in zip(reversed(params), reversed(run.inputs), strict=True):
        d_inputs, product = dense_backward(d_outputs, layer_input, layer)
        products.append(product)
        d_outputs = activation.backward(d_inputs, layer_input)  # unused below the first layer
    return tuple(reversed(products))


def _add_penalty(product: Params, direction: Params, penalties: Penalties) -> Params:
    if isinstance(penalties.l2, float) and penalties.l2 == 0.0:
        return product
    # The penalty's gradient is linear in the parameters, so its derivative is itself, of V.
    return jax.tree.map(jnp.add, product, l2_penalty_backward(direction, penalties.l2))
