"""Hidden-layer activations, each with its hand-derived backward rule and second derivative.

Every backward takes the activation's OUTPUT, so that the pre-activations need not be kept; so does
every second derivative, which the product with the Hessian needs (``curvature``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Units = Float[Array, "batch units *lanes"]


def sigmoid(pre_activations: Units) -> Units:
    """Apply O = 1 / (1 + e^-Z): homework (2), whose printed e^Z lacks the minus sign.

    Example:
      >>> import jax.numpy as jnp
      >>> sigmoid(jnp.zeros((1, 2)))
      Array([[0.5, 0.5]], dtype=float32)
    """
    return jax.nn.sigmoid(pre_activations)


def sigmoid_backward(d_activations: Units, activations: Units) -> Units:
    """Return dE/dZ = dE/dO O (1 - O): homework (19).

    Args:
      d_activations: dE/dO, (batch, units).
      activations: O, what ``sigmoid`` returned.

    Example:
      >>> import jax.numpy as jnp
      >>> sigmoid_backward(jnp.ones((1, 2)), jnp.array([[0.5, 1.0]]))
      Array([[0.25, 0.  ]], dtype=float32)
    """
    return d_activations * activations * (1 - activations)


def sigmoid_second_derivative(activations: Units) -> Units:
    """Return d2O/dZ2 = O (1 - O) (1 - 2 O): homework (19), derived once more."""
    return activations * (1 - activations) * (1 - 2 * activations)


def tanh(pre_activations: Units) -> Units:
    """Apply the hyperbolic tangent, O = tanh Z."""
    return jnp.tanh(pre_activations)


def tanh_backward(d_activations: Units, activations: Units) -> Units:
    """Return dE/dZ = dE/dO (1 - O^2), the tanh counterpart of homework (19)."""
    return d_activations * (1 - activations) * (1 + activations)


def tanh_second_derivative(activations: Units) -> Units:
    """Return d2O/dZ2 = -2 O (1 - O^2)."""
    return -2 * activations * (1 - activations) * (1 + activations)


def relu(pre_activations: Units) -> Units:
    """Apply O = max(Z, 0), with derivative 0 at Z = 0 (``jnp.maximum`` would give 0.5)."""
    return jax.nn.relu(pre_activations)


def relu_backward(d_activations: Units, activations: Units) -> Units:
    """Return dE/dZ = dE/dO where O > 0, else 0, the ReLU counterpart of homework (19)."""
    return jnp.where(activations > 0, d_activations, 0)


def relu_second_derivative(activations: Units) -> Units:
    """Return d2O/dZ2 = 0; at the kink, where there is none, 0 as well."""
    return jnp.zeros_like(activations)


class Activation(NamedTuple):
    """An activation, its derivatives, and the gain that keeps a signal's size at initialisation.

    Args:
      forward: Z -> O.
      backward: (dE/dO, O) -> dE/dZ. As dO/dZ is a number for each unit, (R, O) -> R dO/dZ serves a
        forward derivative as well.
      second_derivative: O -> d2O/dZ2.
      init_gain: scales the initial weights of the layer above.

    Example:
      >>> import jax.numpy as jnp
      >>> relu = ACTIVATIONS["relu"]
      >>> activations = relu.forward(jnp.array([[-1.0, 2.0]]))
      >>> relu.backward(jnp.ones((1, 2)), activations)
      Array([[0., 1.]], dtype=float32)
    """

    forward: Callable[[Units], Units]
    backward: Callable[[Units, Units], Units]
    second_derivative: Callable[[Units], Units]
    init_gain: float


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(sigmoid, sigmoid_backward, sigmoid_second_derivative, 1.0),
    "tanh": Activation(tanh, tanh_backward, tanh_second_derivative, 1.0),
    "relu": Activation(relu, relu_backward, relu_second_derivative, 2.0**0.5),
}
