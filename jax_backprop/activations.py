"""Hidden-layer activations, each beside its hand-derived backward rule.

Every backward takes the activation's OUTPUT, so that the pre-activations need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Units = Float[Array, "batch units *lanes"]


def sigmoid(pre_activations: Units) -> Units:
    """Apply O = 1 / (1 + e^-Z): homework (2), whose printed e^Z lacks the minus sign."""
    return jax.nn.sigmoid(pre_activations)


def sigmoid_backward(d_activations: Units, activations: Units) -> Units:
    """Return dE/dZ = dE/dO * O (1 - O): homework (19)."""
    return d_activations * activations * (1 - activations)


def tanh(pre_activations: Units) -> Units:
    """Apply the hyperbolic tangent, O = tanh Z."""
    return jnp.tanh(pre_activations)


def tanh_backward(d_activations: Units, activations: Units) -> Units:
    """Return dE/dZ = dE/dO * (1 - O^2), the tanh counterpart of homework (19)."""
    return d_activations * (1 - activations) * (1 + activations)


def relu(pre_activations: Units) -> Units:
    """Apply O = max(Z, 0), with derivative 0 at Z = 0 (``jnp.maximum`` would give 0.5)."""
    return jax.nn.relu(pre_activations)


def relu_backward(d_activations: Units, activations: Units) -> Units:
    """Return dE/dZ = dE/dO where O > 0, else 0, the ReLU counterpart of homework (19)."""
    return jnp.where(activations > 0, d_activations, 0)


class Activation(NamedTuple):
    """An activation, its backward, and the gain that keeps a signal's size at initialisation."""

    forward: Callable[[Units], Units]
    backward: Callable[[Units, Units], Units]
    init_gain: float


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(sigmoid, sigmoid_backward, 1.0),
    "tanh": Activation(tanh, tanh_backward, 1.0),
    "relu": Activation(relu, relu_backward, 2.0**0.5),
}
