"""The losses and the activations: laws, and accuracy where training ends."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop.activations import ACTIVATIONS
from jax_backprop.losses import LOSSES, softmax_cross_entropy, softmax_cross_entropy_backward

LOGITS = jax.random.normal(jax.random.key(0), (17, 5)) * 3
LABELS = jax.random.randint(jax.random.key(1), (17,), 0, 5)
NUMBERS = 2 * jax.random.normal(jax.random.key(3), (17, 5))
TARGETS = {
    "classes": LABELS,
    "numbers": NUMBERS,
    "shares": (NUMBERS > 0).astype(int),
    "counts": jnp.floor(jnp.abs(NUMBERS)),
}
PAIRS = [(name, kind) for name, loss in LOSSES.items() for kind in loss.targets]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward_is_autodiffs(name: str) -> None:
    activation = ACTIVATIONS[name]
    points = jnp.array([[-30.0, -1.0, 0.0, 0.5, 30.0]])
    outputs, pullback = jax.vjp(activation.forward, points)
    upstream = jnp.arange(1.0, 6.0)[None, :]
    by_hand = activation.backward(upstream, outputs)
    np.testing.assert_allclose(by_hand, pullback(upstream)[0], rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivative_is_autodiffs(name: str) -> None:
    """As a function of the output, as the backward rule is."""
    activation = ACTIVATIONS[name]
    points = jnp.array([[-2.0, -1.0, 0.3, 0.5, 1.5]])
    slopes = jax.grad(lambda inputs: activation.forward(inputs).sum())
    expected = jax.grad(lambda inputs: slopes(inputs).sum())(points)
    found = activation.second_derivative(activation.forward(points))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_hessian_product_is_autodiffs(name: str, kind: str) -> None:
    """Of one network's logits, and of three side by side in a last axis."""
    loss, targets = LOSSES[name], TARGETS[kind]
    directions = jax.random.normal(jax.random.key(2), (17, 5, 3))
    gradient = jax.grad(lambda logits: loss.forward(logits, targets, 0.0).sum())
    expected = jax.jvp(gradient, (LOGITS,), (directions[..., 0],))[1]
    found = loss.hessian_product(LOGITS, targets, directions[..., 0])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    lanes = jnp.stack([LOGITS, -LOGITS, LOGITS / 2], axis=-1)
    many = loss.hessian_product(lanes, targets, directions)
    losses = loss.forward(lanes, targets, 0.1)
    for lane in range(3):
        alone = loss.hessian_product(lanes[..., lane], targets, directions[..., lane])
        np.testing.assert_allclose(many[..., lane], alone, rtol=1e-6, atol=1e-6)
        alone = loss.forward(lanes[..., lane], targets, 0.1)
        np.testing.assert_allclose(losses[..., lane], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_loss_backward_is_autodiffs(name: str, kind: str, smoothing: float) -> None:
    loss, targets = LOSSES[name], TARGETS[kind]
    d_logits = jax.grad(lambda logits: loss.forward(logits, targets, smoothing).sum())(LOGITS)
    by_hand = loss.backward(LOGITS, targets, smoothing)
    np.testing.assert_allclose(by_hand, d_logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_textbooks(smoothing: float) -> None:
    log_probabilities = jax.nn.log_softmax(LOGITS, axis=1)
    targets = (1 - smoothing) * jax.nn.one_hot(LABELS, 5) + smoothing / 5
    expected = -(targets * log_probabilities).sum(axis=1)
    np.testing.assert_allclose(
        softmax_cross_entropy(LOGITS, LABELS, smoothing), expected, rtol=1e-5
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_of_d_logits_sum_to_zero(smoothing: float) -> None:
    d_logits = softmax_cross_entropy_backward(LOGITS, LABELS, smoothing)
    np.testing.assert_allclose(d_logits.sum(axis=1), 0, atol=5e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_squared_error_is_half_the_squared_distance(smoothing: float) -> None:
    targets = (1 - smoothing) * jax.nn.one_hot(LABELS, 5) + smoothing / 5
    expected = 0.5 * ((LOGITS - targets) ** 2).sum(axis=1)
    np.testing.assert_allclose(
        LOSSES["squared_error"].forward(LOGITS, LABELS, smoothing), expected, rtol=1e-6
    )


def test_cross_entropy_neither_overflows_nor_cancels() -> None:
    logits = jnp.array([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0], [40.0, 0.0, 0.0], [20.0, 0.0, 0.0]])
    labels = jnp.array([0, 0, 0, 0])
    losses = softmax_cross_entropy(logits, labels)
    expected = [0.0, 1e4, 2 * np.exp(-40.0), np.log1p(2 * np.exp(-20.0))]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    d_logits = softmax_cross_entropy_backward(logits, labels)
    assert np.isfinite(d_logits).all()
    np.testing.assert_allclose(d_logits[2, 0], -2 * np.exp(-40.0), rtol=1e-6)
    np.testing.assert_allclose(d_logits[1], [-1.0, 1.0, 0.0], atol=1e-6)


def test_accurate_where_log_softmax_is_not() -> None:
    """At a loss of about 1e-5 the usual form has lost half of its digits; this one none."""
    logits = LOGITS + 12 * jax.nn.one_hot(LABELS, 5) + 6
    exact = np.asarray(logits, np.float64)
    margins = exact - exact[np.arange(17), LABELS][:, None]
    terms = np.exp(margins)
    terms[np.arange(17), LABELS] = 0
    truth = np.log1p(terms.sum(axis=1))
    usual = -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), LABELS[:, None], axis=1)[
        :, 0
    ]
    ours = np.abs(np.asarray(softmax_cross_entropy(logits, LABELS)) - truth) / truth
    theirs = np.abs(usual - truth) / truth
    assert ours.max() < 3e-6
    assert theirs.max() > 100 * ours.max()


def test_yes_or_no_keeps_its_digits_where_a_network_is_sure() -> None:
    """Where log(1 + e^Z) - Z cancels to 0, and s(Z) - 1 too."""
    logits, targets = jnp.array([[20.0, -30.0]]), jnp.array([[1, 0]])
    loss = LOSSES["sigmoid_cross_entropy"]
    expected = np.log1p(np.exp(-20.0)) + np.log1p(np.exp(-30.0))
    np.testing.assert_allclose(loss.forward(logits, targets, 0.0), [expected], rtol=1e-6)
    d_logits = [[-np.exp(-20.0), np.exp(-30.0)]]
    np.testing.assert_allclose(loss.backward(logits, targets, 0.0), d_logits, rtol=1e-6)


def test_a_count_that_is_expected_costs_nothing() -> None:
    counts = jnp.array([[1.0, 7.0, 0.0]])
    losses = LOSSES["poisson"].forward(jnp.array([[0.0, np.log(7.0), -60.0]]), counts, 0.0)
    np.testing.assert_allclose(losses, [0.0], atol=1e-6)
    deviance = LOSSES["poisson"].forward(jnp.log(counts + 1), counts, 0.0)[0]
    expected = sum(m - t + (t * np.log(t / m) if t else 0) for t, m in ((1, 2), (7, 8), (0, 1)))
    np.testing.assert_allclose(deviance, expected, rtol=1e-5)
