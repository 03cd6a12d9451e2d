"""The gradient noise scale, by hand, against autodiff's gradient of each example."""

from __future__ import annotations

from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_backprop as jb
from jax_backprop.derivation.problems import Problem, build, square_network
from jax_backprop.fields import ActivationName, LossName


@pytest.mark.parametrize("loss_name", get_args(LossName))
def test_it_is_that_of_every_examples_own_gradient(loss_name: LossName, x64: None) -> None:
    """To 1e-10, streamed in blocks that don't divide the examples, with penalties."""
    activation = get_args(ActivationName)[len(loss_name) % 3]
    network = square_network(3, activation, loss_name)
    penalties = jb.Penalties(l2=0.01, label_smoothing=0.1)
    params, batch = build(Problem(network, 17, "initial", penalties))

    def own(rows: jb.Batch) -> jax.Array:
        example = jax.tree.map(lambda leaf: leaf[None], rows)
        unpenalized = penalties._replace(l2=0.0)
        grads = jax.grad(jb.loss)(params, example, network=network, penalties=unpenalized)
        return jax.flatten_util.ravel_pytree(grads)[0]

    rows = np.asarray(jax.jit(jax.vmap(own))(batch))
    loss = partial(jb.loss, network=network, penalties=penalties)
    whole = jax.jit(jax.grad(loss))(params, batch)
    norm = float(np.sum(np.asarray(jax.flatten_util.ravel_pytree(whole)[0]) ** 2))
    for unbiased in (True, False):
        trace = np.sum(np.var(rows, axis=0, ddof=int(unbiased)))
        measured = partial(
            jb.gradient_noise_scale,
            network=network,
            penalties=penalties,
            block_size=5,
            unbiased=unbiased,
        )
        found = jax.jit(measured)(params, batch)
        np.testing.assert_allclose(found, (trace / norm, trace, norm), rtol=1e-10)


def test_examples_that_are_all_the_same_have_no_noise() -> None:
    network = jb.Network(layer_sizes=(4, 3, 2))
    params = jb.init_params(network, key=jax.random.key(0))
    batch = jb.Batch(jnp.ones((8, 4)), jnp.zeros(8, int))
    found = jb.gradient_noise_scale(params, batch, network=network)
    assert abs(found.scale) < 1e-5 and found.squared_norm > 0


@pytest.mark.parametrize(
    "batch", [jb.Batch(np.ones((1, 4)), np.zeros(1, int), None), "weighted"], ids=["one", "weights"]
)
def test_what_has_no_covariance_is_refused(batch: jb.Batch | str) -> None:
    network = jb.Network(layer_sizes=(4, 3, 2))
    params = jb.init_params(network, key=jax.random.key(0))
    if isinstance(batch, str):
        batch = jb.Batch(np.ones((3, 4)), np.zeros(3, int), np.ones(3))
    with pytest.raises(jb.InputError, match="two examples or more"):
        jb.gradient_noise_scale(params, batch, network=network)
