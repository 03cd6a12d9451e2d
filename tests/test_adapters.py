"""Networks of one's own, in ten lines: other libraries', and plain functions."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jax_backprop as jb
from jax_backprop.training import epoch_orders
from jax_backprop.training.factors import layer_factors

DATA = jb.load_dataset("noise:40,4,3")
KEY = jb.role_keys(0).init


def linear(metrics: Any = None) -> jb.OwnNetwork:
    return jb.from_functions(
        lambda key: {"w": jax.random.normal(key, (4, 3)), "b": jnp.zeros(3)},
        lambda params, inputs: inputs @ params["w"] + params["b"][None],
        metrics=metrics,
    )


def test_plain_functions_are_the_network_by_hand() -> None:
    network = jb.Network(layer_sizes=(4, 3))
    own, (layer,) = linear(("f1", "accuracy")), jb.init_params(network, key=KEY)
    params = {"w": layer.weights, "b": layer.biases}
    weighted = DATA.train._replace(weights=np.linspace(1, 3, 40))
    value, grads = own.value_and_grad(params, weighted)
    expected, (by_hand,) = jb.value_and_grad((layer,), weighted, network=network)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(grads["w"], by_hand.weights, rtol=1e-5, atol=1e-7)
    assert own.evaluate is not None and own.vector_product is not None
    found = own.evaluate(params, weighted)
    told = jb.evaluate((layer,), weighted, network=network, metrics=("f1", "accuracy"))
    for name, each in told.named().items():
        np.testing.assert_allclose(found.named()[name], each, rtol=1e-5)
    product = own.vector_product(params, weighted, params)
    (expected_,) = jb.hessian_vector_product((layer,), weighted, (layer,), network=network)
    np.testing.assert_allclose(product["w"], expected_.weights, rtol=1e-4, atol=1e-6)
    settings = {"learning_rate": 0.5, "steps": 5}
    key = jb.role_keys(0).order
    mine = jb.fit(params, DATA, key=key, network=own, **settings)
    hand = jb.fit((layer,), DATA, key=key, network=network, **settings)
    np.testing.assert_allclose(mine.params["w"], hand.params[0].weights, rtol=1e-5, atol=1e-6)


def test_modules_of_other_libraries_are_pure_pairs() -> None:
    eqx = pytest.importorskip("equinox")
    linen = pytest.importorskip("flax.linen")
    nnx = pytest.importorskip("flax.nnx")

    class Own(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.dense = nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, inputs: Any) -> Any:
            return self.dense(inputs)

    for network in (
        jb.from_equinox(lambda key: eqx.nn.MLP(4, 3, 5, 1, key=key)),
        jb.from_flax(linen.Dense(3), DATA.train.inputs[:1]),
        jb.from_flax(Own),
    ):
        params, other = network.init(KEY), network.init(jb.role_keys(1).init)
        leaves = zip(*map(jax.tree.leaves, (params, other)), strict=True)
        assert any(not np.array_equal(*pair) for pair in leaves), "drawn by the key"
        value, grads = network.value_and_grad(params, DATA.train)
        assert jax.tree.structure(grads) == jax.tree.structure(params) and value > 0
        assert network.evaluate is not None
        np.testing.assert_allclose(network.evaluate(params, DATA.train).loss, value, rtol=1e-6)
    with pytest.raises(jb.InputError, match="state beside its parameters: batch_stats"):
        jb.from_flax(linen.BatchNorm(use_running_average=False), DATA.train.inputs[:1])


def test_outputs_that_do_not_fit_are_refused() -> None:
    cases = (
        (lambda p, x: (x @ p)[:, :, None], "softmax_cross_entropy", "expected (batch, classes)"),
        (lambda p, x: (x @ p).sum(), "softmax_cross_entropy", "led by the 40 examples"),
        (lambda p, x: x @ p, "huber", "Mend the last layer"),
    )
    for apply, loss, message in cases:
        network = jb.from_functions(lambda key: jnp.ones((4, 3)), apply, loss)
        with pytest.raises(jb.InputError) as caught:
            network.value_and_grad(jnp.ones((4, 3)), DATA.train)
        assert message in str(caught.value)


def test_layers_are_named_by_their_paths() -> None:
    params = {"blocks": [{"norm": 1.0, "w": 2.0}, {"norm": 3.0, "w": 4.0}], "head": 5.0}
    hyper = {"layer_factors.blocks.*.norm": 0.0, "layer_factors.head": 0.5}
    found = layer_factors(params, {"blocks.1": 3.0}, hyper)(hyper)
    norms, weights = ([block[name] for block in found["blocks"]] for name in ("norm", "w"))
    assert (norms, weights, found["head"]) == ([0.0, 0.0], [1.0, 3.0], 0.5)
    with pytest.raises(jb.InputError, match=r"Did you mean 'blocks.0.norm'"):
        layer_factors(params, {"blocks.0.nrom": 3.0}, {})


def noisy(params: Any, inputs: Any, state: Any = None, key: Any = None) -> Any:
    """Drop inputs out, and divide by a running mean of their squares: the batch's, in training."""
    if key is None:
        return inputs / jnp.sqrt(state)[None] @ params, state
    square = jnp.mean(inputs**2, axis=0)
    kept = jax.random.bernoulli(key, 0.7, inputs.shape) / 0.7
    return kept * inputs / jnp.sqrt(square)[None] @ params, 0.9 * state + 0.1 * square


def by_optax(params: Any, state: Any, apply: Any) -> Any:
    """Return parameters and state after twelve steps of momentum, a key each."""
    order, optimizer = jb.role_keys(0).order, optax.sgd(0.1, 0.9)
    noise, momentum = jax.random.fold_in(order, 2**31 - 1), optimizer.init(params)

    def loss(params: Any, state: Any, batch: jb.Batch, key: Any) -> Any:
        outputs, state = apply(params, batch.inputs, state=state, key=key)
        labels = batch.labels
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean(), state

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    rows = np.asarray(epoch_orders(order, 0, epochs=3, examples=40, batch_size=8))[:12]
    for step, batch in enumerate(map(DATA.train.take, rows)):
        grads, state = gradient(params, state, batch, jax.random.fold_in(noise, step))
        moves, momentum = optimizer.update(grads, momentum)
        params = optax.apply_updates(params, moves)
    return params, state


@pytest.mark.parametrize("whose", ["functions", "linen", "nnx"])
def test_a_step_has_a_key_and_carries_state(whose: str) -> None:
    how = {"optimizer": "heavy_ball", "learning_rate": 0.1, "batch_size": 8, "steps": 12}
    with jax.enable_x64(True):
        init, apply = lambda key: jb.Stateful(jnp.ones((4, 3)), jnp.ones(4)), noisy
        if whose == "linen":
            linen = pytest.importorskip("flax.linen")

            class Module(linen.Module):
                @linen.compact
                def __call__(self, inputs: Any, train: bool) -> Any:
                    inputs = linen.BatchNorm(not train, param_dtype=float)(inputs)
                    inputs = linen.Dropout(0.3, deterministic=not train)(inputs)
                    return linen.Dense(3, param_dtype=float)(inputs)

            own = jb.from_flax(Module(), DATA.train.inputs[:1])

            def apply(params: Any, inputs: Any, *, state: Any, key: Any) -> Any:
                rngs, changed = {"dropout": key}, ["batch_stats"]
                whole = {"params": params, **state}
                return Module().apply(whole, inputs, True, rngs=rngs, mutable=changed)
        elif whose == "nnx":
            nnx = pytest.importorskip("flax.nnx")

            class Own(nnx.Module):
                def __init__(self, rngs: Any) -> None:
                    self.norm = nnx.BatchNorm(4, param_dtype=float, rngs=rngs)
                    self.norm.mean = nnx.BatchStat(jnp.zeros(4))  # theirs are float32
                    self.norm.var = nnx.BatchStat(jnp.ones(4))
                    self.dropout = nnx.Dropout(0.3, rngs=rngs)
                    self.dense = nnx.Linear(4, 3, param_dtype=float, rngs=rngs)

                def __call__(self, inputs: Any) -> Any:
                    return self.dense(self.dropout(self.norm(inputs)))

            own = jb.from_flax(Own)

            def apply(params: Any, inputs: Any, *, state: Any, key: Any) -> Any:
                module = Own(nnx.Rngs(0))
                module.train()
                nnx.update(module, params, state)
                nnx.reseed(module, default=jax.random.split(key, 1)[0])
                return module(inputs), nnx.state(module, nnx.BatchStat)
        else:
            own = jb.from_functions(init, apply)
        start = own.init(KEY)
        found = jb.fit(start, DATA, key=jb.role_keys(0).order, network=own, **how)
        params, state = by_optax(*start, apply)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10), found.params.params, params)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10), found.params.state, state)
        assert own.evaluate is not None
        end = float(own.evaluate(found.params, DATA.train).loss)
        assert float(found.history.train.loss[-1]) == pytest.approx(end, rel=1e-10)
        parts = (DATA.train.take(slice(n, n + 20)) for n in (0, 20))  # nothing drawn, nor averaged
        apart = [float(own.evaluate(found.params, part).loss) for part in parts]
        assert np.mean(apart) == pytest.approx(end, rel=1e-10)
        if whose == "functions":
            cells = jb.sweep(None, DATA, jb.Grid({"seed": [0]}), network=own, **how).cells
            assert cells["train_loss"][0].as_py() == pytest.approx(end, rel=1e-6)


def test_steps_with_keys_or_state_refuse_what_cannot_be() -> None:
    own = jb.from_functions(lambda key: jb.Stateful(jnp.ones((4, 3)), jnp.ones(4)), noisy)
    how: dict[str, Any] = {"key": jb.role_keys(0).order, "batch_size": 8, "steps": 3}
    start = own.init(KEY)
    for rule, message in (
        ("line_search", "with randomness"),
        ("curvature", "a network with state"),
    ):
        with pytest.raises(jb.InputError, match=message):
            jb.fit(start, DATA, network=own, rate_rule=rule, **how)
    wrong = jb.from_functions(own.init, lambda params, inputs, state: (inputs @ params, ()))
    with pytest.raises(jb.InputError, match=r"got a next state of the form \(\); expected"):
        jb.fit(start, DATA, network=wrong, **how)


def test_what_is_beside_a_loss_is_left_out() -> None:
    def loss(params: Any, batch: jb.Batch) -> Any:
        return jnp.mean((batch.inputs @ params) ** 2), {"beside": 1.0}

    how: dict[str, Any] = {"key": jb.role_keys(0).order, "steps": 3, "learning_rate": 0.1}
    alone, beside = (
        jb.fit(jnp.ones((4, 3)), DATA, value_and_grad=gradient, **how)
        for gradient in (
            jax.value_and_grad(lambda *args: loss(*args)[0]),
            jax.value_and_grad(loss, has_aux=True),
        )
    )
    np.testing.assert_array_equal(alone.params, beside.params)


def test_what_measures_other_losses_takes_no_carried_state() -> None:
    """Line search and the Hessian: both ask for losses that no step makes."""
    network = jb.from_functions(
        lambda key: jb.Stateful(jnp.ones((4, 3)), jnp.zeros(())),
        lambda params, inputs, state: (inputs @ params, state + 1),
    )
    params = network.init(KEY)
    assert network.vector_product is not None
    with pytest.raises(jb.InputError, match=r"sharpness.*parameters alone, of which the Hessian"):
        network.vector_product(params, DATA.train, params)
    with pytest.raises(jb.InputError, match=r"line_search.*parameters alone"):
        jb.fit(params, DATA, key=KEY, network=network, rate_rule="line_search", steps=2)
