"""The networks and points at which every checker judges every mutant."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jax_backprop import Batch, Network, Params, Penalties, init_params, loss
from jax_backprop.derivation.autodiff import jitted_autodiff, to_dtype

# A penalty and label smoothing, so that mistakes in them show; biases are zero at the start, so
# that a point a few steps on is judged.
PENALTIES = Penalties(l2=0.01, label_smoothing=0.1)
STEPS, RATE = 20, 0.5
NETWORKS = {
    "5-4-3": (Network(layer_sizes=(5, 4, 3), activation="sigmoid"), 17),
    "784-100-10": (Network(layer_sizes=(784, 100, 10), activation="sigmoid"), 32),
    "20-20-20-5": (Network(layer_sizes=(20, 20, 20, 5), activation="tanh"), 17),
}
DTYPES = ("float32", "float64")


class Point(NamedTuple):
    """A network, its parameters and a batch, in float32."""

    name: str
    network: Network
    params: Params
    batch: Batch

    def in_dtype(self, dtype: str) -> tuple[Params, Batch, Penalties]:
        """Return the arguments of loss and gradient (call it where x64 is on, for float64)."""
        params, batch = to_dtype((self.params, self.batch), dtype)
        return params, batch, to_dtype(PENALTIES, dtype)


@lru_cache
def point(name: str) -> Point:
    """Return the point of one network: random inputs, a few steps from the start."""
    network, examples = NETWORKS[name]
    init_key, input_key, label_key = jax.random.split(jax.random.key(0), 3)
    inputs = jax.random.normal(input_key, (examples, network.layer_sizes[0]))
    labels = jax.random.randint(label_key, (examples,), 0, network.layer_sizes[-1])
    params, batch = init_params(network, key=init_key), Batch(inputs, labels)
    gradient = jitted_autodiff(judged_loss(network))
    for _ in range(STEPS):
        _, grads = gradient(params, batch, PENALTIES)
        params = jax.tree.map(lambda leaf, grad: leaf - RATE * grad, params, grads)
    return Point(name, network, params, jax.tree.map(jnp.asarray, batch))


@lru_cache
def judged_loss(network: Network) -> Any:
    """Return the loss of (params, batch, penalties)."""

    def mean_loss(params: Params, batch: Batch, penalties: Penalties) -> jax.Array:
        return loss(params, batch, network=network, penalties=penalties)

    return mean_loss
