"""Network and gradient: the homework's equations by plain loops, laws, blocks, dtypes."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from jax_backprop import Batch, Layer, Network, Penalties, evaluate, init_params, loss
from jax_backprop.backprop import value_and_grad
from jax_backprop.blocks import sum_over_blocks
from jax_backprop.network import forward

NETWORK = Network(layer_sizes=(6, 6, 6, 4))
PARAMS = init_params(NETWORK, key=jax.random.key(0))
BATCH = Batch(
    jax.random.normal(jax.random.key(1), (17, 6)),
    jax.random.randint(jax.random.key(2), (17,), 0, 4),
)


by_hand = jax.jit(partial(value_and_grad, network=NETWORK))


def assert_same(first, second, rtol: float = 2e-6, atol: float = 1e-7) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), first, second)


def test_the_homework_by_plain_loops() -> None:
    """A 2-2-2 network worked through as the homework writes it, corrected, example by example."""
    network = Network(layer_sizes=(2, 2, 2))
    w1, b1 = [[0.1, -0.2], [0.4, 0.3]], [0.05, -0.1]
    w2, b2 = [[0.7, -0.6], [0.2, 0.5]], [0.0, 0.1]
    inputs, labels = [[1.0, 2.0], [-0.5, 0.25]], [0, 1]
    total, d_w1, d_w2 = 0.0, np.zeros((2, 2)), np.zeros((2, 2))
    d_b1, d_b2 = np.zeros(2), np.zeros(2)
    for i, label in zip(inputs, labels, strict=True):
        z = [sum(i[n] * w1[n][h] for n in range(2)) + b1[h] for h in range(2)]  # (1)
        o = [1 / (1 + math.exp(-z_h)) for z_h in z]  # (2)
        z_o = [sum(o[h] * w2[h][k] for h in range(2)) + b2[k] for k in range(2)]  # (3)
        y = [math.exp(z_k) / sum(map(math.exp, z_o)) for z_k in z_o]  # (4)
        total += -math.log(y[label]) / 2  # (5), the mean over two examples
        for k in range(2):
            d_z = (y[k] - (k == label)) / 2  # (14)
            d_b2[k] += d_z
            for h in range(2):
                d_w2[h, k] += d_z * o[h]  # (16)
                d_hidden = d_z * w2[h][k] * o[h] * (1 - o[h])  # (18), (19)
                d_b1[h] += d_hidden
                for n in range(2):
                    d_w1[n, h] += d_hidden * i[n]  # (21)
    params = tuple(Layer(jnp.array(w), jnp.array(b)) for w, b in ((w1, b1), (w2, b2)))
    batch = Batch(jnp.array(inputs), jnp.array(labels))
    value, grads = jax.jit(partial(value_and_grad, network=network))(params, batch)
    np.testing.assert_allclose(value, total, rtol=1e-6)
    assert_same(grads, (Layer(d_w1, d_b1), Layer(d_w2, d_b2)))


@pytest.fixture(scope="module")
def whole() -> tuple:
    """Gradient and evaluation of the batch in one block, compiled."""
    return in_blocks(None)


def in_blocks(block_size: int | None) -> tuple:
    penalties = Penalties(l2=0.1, label_smoothing=0.2)

    @jax.jit
    def both(params, batch: Batch):
        gradient = partial(value_and_grad, network=NETWORK, penalties=penalties)
        return (
            gradient(params, batch, block_size=block_size),
            evaluate(params, batch, network=NETWORK, block_size=block_size),
        )

    return both(PARAMS, BATCH)


def test_a_gpus_blocks_are_larger(monkeypatch) -> None:
    ones = Batch(jnp.ones((9000, 1)), jnp.zeros(9000, int))
    rows: list[int] = []

    def count(block: Batch) -> jax.Array:
        rows.append(block.examples)
        return jnp.sum(block.inputs)

    for device, longest in (("cpu", 1024), ("gpu", 8192)):
        monkeypatch.setattr(jax, "default_backend", lambda device=device: device)
        rows.clear()
        assert sum_over_blocks(count, ones) == 9000 and max(rows) == longest


@pytest.mark.parametrize("block_size", [1, 4, 5, 17, 100])
def test_blocks_change_nothing(block_size: int, whole: tuple) -> None:
    assert_same(whole, in_blocks(block_size))


def test_streamed_memory_does_not_grow_with_n() -> None:
    network = Network(layer_sizes=(64, 128, 10))
    params = jax.eval_shape(partial(init_params, network), key=jax.random.key(0))

    def temporaries(examples: int) -> int:
        batch = Batch(
            jax.ShapeDtypeStruct((examples, 64), jnp.float32),
            jax.ShapeDtypeStruct((examples,), jnp.int32),
        )
        program = jax.jit(partial(value_and_grad, network=network, block_size=1024))
        return program.lower(params, batch).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(65_536) <= 1.05 * temporaries(4_096)
    assert temporaries(65_536 + 7) <= 2.1 * temporaries(4_096)


def test_mean_gradient_is_the_mean_of_the_examples() -> None:
    rows = (Batch(BATCH.inputs[n : n + 1], BATCH.labels[n : n + 1]) for n in range(17))
    each = [by_hand(PARAMS, row) for row in rows]
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 17, *each)
    assert_same(by_hand(PARAMS, BATCH), mean)


def test_order_of_a_batch_does_not_matter() -> None:
    order = jax.random.permutation(jax.random.key(3), 17)
    shuffled = Batch(BATCH.inputs[order], BATCH.labels[order])
    assert_same(by_hand(PARAMS, BATCH), by_hand(PARAMS, shuffled))


def test_the_pytree_is_that_of_jax_value_and_grad() -> None:
    hand = value_and_grad(PARAMS, BATCH, network=NETWORK)
    autodiff = jax.value_and_grad(partial(loss, network=NETWORK))(PARAMS, BATCH)
    assert jax.tree.structure(hand) == jax.tree.structure(autodiff)
    assert [leaf.dtype for leaf in jax.tree.leaves(hand)] == [jnp.float32] * 7


def test_penalties_are_traced_and_leave_biases_out() -> None:
    traces = []
    params = jax.tree.map(lambda leaf: leaf + 0.3, PARAMS)  # biases too

    @jax.jit
    def both(penalties: Penalties):
        traces.append(1)
        return value_and_grad(params, BATCH, network=NETWORK, penalties=penalties)

    weights = sum(float((layer.weights**2).sum()) for layer in params)
    plain, penalised = both(Penalties(0.0, 0.0)), both(Penalties(0.2, 0.0))
    np.testing.assert_allclose(penalised[0] - plain[0], 0.1 * weights, rtol=1e-5)
    np.testing.assert_allclose(
        penalised[1][0].weights - plain[1][0].weights, 0.2 * params[0].weights, atol=1e-6
    )
    np.testing.assert_array_equal(penalised[1][0].biases, plain[1][0].biases)
    assert len(traces) == 1


def test_dtype_of_the_params_decides(x64: None) -> None:
    params = init_params(NETWORK, key=jax.random.key(0))
    assert params[0].weights.dtype == jnp.float64
    assert by_hand(params, BATCH)[0].dtype == jnp.float64
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    value, grads = by_hand(low, BATCH)
    assert value.dtype == grads[0].weights.dtype == jnp.float32
    assert forward(low, BATCH.inputs, network=NETWORK).dtype == jnp.float32


def test_initial_weights_have_the_stated_size() -> None:
    network = Network(layer_sizes=(400, 300, 200), activation="relu")
    first, second = init_params(network, key=jax.random.key(5), init_scale=0.5)
    np.testing.assert_allclose(first.weights.std() * 400**0.5, 0.5, rtol=0.02)
    np.testing.assert_allclose(second.weights.std() * 300**0.5, 0.5 * 2**0.5, rtol=0.02)
    assert not first.biases.any() and not second.biases.any()


def test_evaluate_counts_correct_answers() -> None:
    logits = forward(PARAMS, BATCH.inputs, network=NETWORK)
    expected = np.mean(np.argmax(logits, axis=1) == np.asarray(BATCH.labels))
    found = evaluate(PARAMS, BATCH, network=NETWORK)
    np.testing.assert_allclose(found.accuracy, expected, rtol=1e-6)
    np.testing.assert_allclose(found.loss, loss(PARAMS, BATCH, network=NETWORK), rtol=1e-6)


def test_networks_are_checked() -> None:
    assert hash(NETWORK) == hash(Network(layer_sizes=[6, 6, 6, 4]))
    for sizes in ((6,), (6, 0, 4), (6.5, 4)):
        with pytest.raises(ValidationError):
            Network(layer_sizes=sizes)


@pytest.mark.parametrize(
    ("sizes", "loss_name"), [((6, 6, 6, 4), "softmax_cross_entropy"), ((6, 5, 4), "squared_error")]
)
def test_networks_side_by_side_in_a_last_axis_are_each_alone(
    sizes: tuple[int, ...], loss_name: str
) -> None:
    """Loss, gradient and evaluation: one rule serves both layouts, the products apart."""
    fields = {"layer_sizes": sizes, "activation": "tanh", "loss": loss_name}
    network = Network.model_validate(fields)
    each = [init_params(network, key=jax.random.key(seed)) for seed in range(3)]
    lanes = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=-1), *each)
    penalties = Penalties(l2=0.1, label_smoothing=0.1)
    both = jax.jit(partial(value_and_grad, network=network, penalties=penalties, block_size=5))
    judge = jax.jit(partial(evaluate, network=network))
    value, grads = both(lanes, BATCH)
    found = judge(lanes, BATCH)
    both_losses = loss(lanes, BATCH, network=network, penalties=penalties)
    assert value.shape == both_losses.shape == (3,)
    for lane, params in enumerate(each):
        alone, alone_grads = both(params, BATCH)
        np.testing.assert_allclose(both_losses[lane], alone, rtol=1e-6)
        np.testing.assert_allclose(value[lane], alone, rtol=1e-6)
        jax.tree.map(
            lambda many, one: np.testing.assert_allclose(many[..., lane], one, atol=1e-6),  # noqa: B023
            grads,
            alone_grads,
        )
        np.testing.assert_allclose(found.loss[lane], judge(params, BATCH).loss, rtol=1e-6)
