"""Targets of any kind: trajectories equal to those of other libraries, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_backprop as jb
from jax_backprop.losses import LOSSES

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(40, 5))
RATE, STEPS = 0.05, 25
TARGETS: dict[str, np.ndarray] = {
    "classes": RNG.integers(0, 3, 40),
    "numbers": INPUTS @ RNG.normal(size=(5, 3)) + RNG.normal(size=(40, 3)),
    "shares": (RNG.random((40, 3)) > 0.5).astype(float),
    "counts": RNG.poisson(2.0, (40, 3)).astype(float),
}
WEIGHTS = RNG.uniform(0.5, 3.0, 40).astype(np.float32)
PAIRS = [(name, kind) for name, loss in LOSSES.items() for kind in loss.targets]


def trained(loss: str, kind: str, weights: np.ndarray | None = None) -> Any:
    """Return the start and the end of a full-batch run in float64."""
    batch = jb.Batch(INPUTS, TARGETS[kind], weights)
    data = jb.Dataset("t", batch, batch, batch, ("a", "b", "c") * (kind == "classes"), "", 0, "")
    network = jb.Network(layer_sizes=(5, 5, 3), activation="tanh", loss=loss)
    with jax.enable_x64(True):
        params = jb.init_params(network, key=jb.role_keys(0).init)
        settings = {"network": network, "learning_rate": RATE, "steps": STEPS}
        found = jb.fit(params, data, key=jb.role_keys(0).order, **settings)
        return jax.device_get((params, found.params))


def torch_losses(torch: Any) -> dict[str, Callable[..., Any]]:
    functional, sums = torch.nn.functional, {"reduction": "none"}
    return {
        "softmax_cross_entropy": lambda z, t: functional.cross_entropy(z, t, **sums),
        "squared_error": lambda z, t: (
            0.5 * ((z - (t if t.ndim > 1 else torch.eye(3, dtype=z.dtype)[t])) ** 2).sum(1)
        ),
        "huber": lambda z, t: functional.huber_loss(z, t, **sums).sum(1),
        "sigmoid_cross_entropy": lambda z, t: functional.binary_cross_entropy_with_logits(
            z, t, **sums
        ).sum(1),
        "poisson": lambda z, t: functional.poisson_nll_loss(z, t, **sums).sum(1),
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "kind"), PAIRS)
def test_a_run_is_torchs(loss: str, kind: str, weighted: bool) -> None:
    torch = pytest.importorskip("torch")
    start, end = trained(loss, kind, WEIGHTS if weighted else None)
    leaves = [torch.tensor(np.asarray(leaf), requires_grad=True) for leaf in jax.tree.leaves(start)]
    inputs, targets = torch.tensor(INPUTS), torch.tensor(TARGETS[kind])
    shares = torch.tensor(WEIGHTS if weighted else np.ones(40, np.float32)).double()
    optimizer = torch.optim.SGD(leaves, lr=RATE)
    for _ in range(STEPS):
        outputs = torch.tanh(inputs @ leaves[0] + leaves[1]) @ leaves[2] + leaves[3]
        losses = torch_losses(torch)[loss](outputs, targets)
        optimizer.zero_grad()
        ((losses * shares).sum() / shares.sum()).backward()
        optimizer.step()
    for found, theirs in zip(jax.tree.leaves(end), leaves, strict=True):
        np.testing.assert_allclose(found, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_a_run_is_scikit_learns(kind: str, weighted: bool) -> None:
    neural = pytest.importorskip("sklearn.neural_network")
    loss = "squared_error" if kind == "numbers" else "softmax_cross_entropy"
    start, end = trained(loss, kind, WEIGHTS if weighted else None)
    made = neural.MLPRegressor if kind == "numbers" else neural.MLPClassifier
    peer = made(
        hidden_layer_sizes=(5,),
        activation="tanh",
        solver="sgd",
        alpha=0.0,
        batch_size=40,
        momentum=0.0,
        shuffle=False,
    )
    more = {"classes": [0, 1, 2]} if kind == "classes" else {}
    weights = {"sample_weight": WEIGHTS.astype(float)} if weighted else {}
    peer.partial_fit(INPUTS, TARGETS[kind], **more)  # makes its arrays, which are then ours
    for ours, theirs in zip(start, zip(peer.coefs_, peer.intercepts_, strict=True), strict=True):
        theirs[0][:], theirs[1][:] = ours.weights, ours.biases
    peer._optimizer.learning_rate = RATE
    peer._optimizer.velocities = [0 * each for each in peer._optimizer.velocities]
    for _ in range(STEPS):
        peer.partial_fit(INPUTS, TARGETS[kind], **weights)
    for ours, theirs in zip(end, zip(peer.coefs_, peer.intercepts_, strict=True), strict=True):
        np.testing.assert_allclose(ours.weights, theirs[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(ours.biases, theirs[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("loss", "kind"), PAIRS)
def test_weights_are_examples_that_are_there_more_often(loss: str, kind: str) -> None:
    """In the value, the gradient by hand, the product with the Hessian and the metrics."""
    network = jb.Network(layer_sizes=(5, 5, 3), activation="tanh", loss=loss)
    params = jb.init_params(network, key=jb.role_keys(0).init)
    targets = TARGETS[kind].astype(np.int32 if kind == "classes" else np.float32)
    times = np.asarray([1, 2, 3, 1] * 10)
    inputs = INPUTS.astype(np.float32)
    repeated = jb.Batch(np.repeat(inputs, times, axis=0), np.repeat(targets, times, axis=0))
    weighted = jb.Batch(inputs, targets, times.astype(np.float32))
    for block_size in (None, 7):
        how = {"network": network, "block_size": block_size}
        for function, given in (
            (jb.value_and_grad, ()),
            (jb.hessian_vector_product, (params,)),
            (jb.evaluate, ()),
        ):
            compiled = jax.jit(partial(function, **how))
            found, expected = (compiled(params, b, *given) for b in (weighted, repeated))
            for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    value = jb.loss(params, weighted, network=network)
    np.testing.assert_allclose(value, jb.loss(params, repeated, network=network), rtol=1e-5)


def test_an_autoencoder_tells_its_scaled_inputs() -> None:
    pixels = RNG.integers(0, 256, (60, 4)).astype(np.uint8)
    data = jb.make_dataset(pixels, None)
    network = jb.Network(layer_sizes=(4, 3, 4), loss="sigmoid_cross_entropy")
    params = jb.init_params(network, key=jb.role_keys(0).init)
    found = jb.value_and_grad(params, data.train, network=network, scaling=data.scaling)
    scaled = jnp.asarray(data.train.inputs, jnp.float32) / 255
    told = jb.value_and_grad(params, jb.Batch(scaled, scaled), network=network)
    for ours, theirs in zip(*map(jax.tree.leaves, (found, told)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    fitted = jb.fit(params, data, key=jb.role_keys(0).order, network=network, steps=2)
    assert np.isfinite(fitted.history.train.loss).all()


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        ("softmax_cross_entropy", TARGETS["numbers"], "got float64 of shape (27, 3)"),
        (
            "softmax_cross_entropy",
            np.eye(3, dtype=int)[TARGETS["classes"]],
            "int32 of shape (27, 3)",
        ),
        ("huber", TARGETS["classes"], "say that the labels are numbers"),
        ("poisson", TARGETS["numbers"], "expected counts, none below 0"),
        ("sigmoid_cross_entropy", TARGETS["counts"], "expected 0 or 1, or shares between"),
        ("squared_error", TARGETS["numbers"] * np.nan, "got nan at example 0, label 0"),
    ],
)
def test_targets_that_a_loss_is_not_of_are_refused(loss: str, targets: Any, message: str) -> None:
    network = jb.Network(layer_sizes=(5, 3), loss=loss)
    params = jb.init_params(network, key=jb.role_keys(0).init)
    with pytest.raises(jb.InputError) as caught:
        data = jb.make_dataset(INPUTS, targets)
        jb.fit(params, data, key=jb.role_keys(0).order, network=network, steps=1)
    assert message in str(caught.value)


def test_any_pytree_is_data_of_a_network_of_ones_own() -> None:
    """Token ids stay integers; a sequence's targets are a sequence."""
    tokens = RNG.integers(0, 7, (60, 6))
    data = jb.make_dataset(tokens[:, :-1], tokens[:, 1:], ids=True)
    assert data.train.inputs.dtype == data.train.labels.dtype == np.int32
    inputs = {"ids": tokens[:, :-1], "length": np.full(60, 5)}
    batch = jb.Batch(inputs, tokens[:, 1:])
    mixed = jb.Dataset("mixed", batch, batch, batch, (), "", 0, "")

    def loss(params: Any, batch: jb.Batch) -> Any:
        ids = batch.inputs["ids"] if isinstance(batch.inputs, dict) else batch.inputs
        logits = params[ids]
        return -jnp.mean(jax.nn.log_softmax(logits) * jax.nn.one_hot(batch.labels, 7))

    for given in (data, mixed):
        tables = jb.sweep(
            lambda key: jax.random.normal(key, (7, 7)),
            given,
            jb.Grid({"learning_rate": [1.0, 30.0], "seed": [0]}),
            value_and_grad=jax.value_and_grad(loss),
            batch_size=10,
            epochs=3,
        )
        slow, fast = tables.cells["test_loss"].to_pylist()
        assert fast < slow


@pytest.mark.parametrize("whose", ["ours", "own"])
def test_confusions_are_counted_as_scikit_learn_does(whose: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scaling, key = jb.Scaling(factor=2.0, offset=0.5), jax.random.key(0)
    batch = jb.Batch(np.float32(np.tile(INPUTS, (5, 1))), np.tile(TARGETS["classes"], 5), None)
    network, weights = jb.Network(layer_sizes=(5, 3)), jax.random.normal(key, (5, 3))
    params: Any = (jb.Layer(weights, jnp.zeros(3)),)
    if whose == "own":
        network = jb.from_functions(lambda key: weights, lambda params, inputs: inputs @ params)
        params = weights
    said = np.argmax(np.asarray(scaling.apply(batch.inputs)) @ weights, axis=1)
    found = jb.confusion_matrix(
        params, batch._replace(weights=np.ones(200)), network=network, scaling=scaling
    )
    np.testing.assert_array_equal(found, metrics.confusion_matrix(batch.labels, said))
    with pytest.raises(jb.InputError, match=r"got targets of shape \(200, 3\)"):
        jb.confusion_matrix(params, batch._replace(labels=batch.inputs[:, :3]), network=network)
