"""Losses of eight families; single operations can be replaced by ones with a wrong backward."""

# ruff: noqa: D103 - a function here is one operation or loss, and its name says which.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Ops = dict[str, Callable[..., Any]]


def dense(x: Any, weights: Any, biases: Any) -> Any:
    return x @ weights + biases


def tanh(x: Any) -> Any:
    return jnp.tanh(x)


def relu(x: Any) -> Any:
    return jnp.where(x > 0, x, 0)


def silu(x: Any) -> Any:
    return x * jax.nn.sigmoid(x)


def softmax(x: Any) -> Any:
    e = jnp.exp(x - jax.lax.stop_gradient(x.max(-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(logits: Any, labels: Any) -> Any:
    log_p = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], 1))


def squared(outputs: Any, targets: Any) -> Any:
    return 0.5 * jnp.mean(jnp.sum((outputs - targets) ** 2, axis=-1))


def layer_norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / jnp.sqrt(variance + 1e-5) * gain + bias


def batch_norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - x.mean(0)
    variance = (centred**2).mean(0)
    return centred * jax.lax.rsqrt(variance + 1e-5) * gain + bias


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = q @ k.T / np.sqrt(q.shape[-1])
    causal = jnp.tril(jnp.ones(scores.shape))
    weights = softmax(jnp.where(causal > 0, scores, -1e9))
    return weights @ v


def convolution(x: Any, kernel: Any) -> Any:
    return jax.lax.conv(x, kernel, (1, 1), "SAME")


def pool(x: Any) -> Any:
    blocks = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2)
    return blocks.max((3, 5))


def embedding(table: Any, ids: Any) -> Any:
    return table[ids]


def recurrent(state: Any, x: Any, inner: Any, outer: Any) -> Any:
    return jnp.tanh(x @ outer + state @ inner)


def gates(state: Any, x: Any, weights: Any, biases: Any) -> Any:
    hidden, cell = state
    i, f, o, g = jnp.split(jnp.concatenate([x, hidden], -1) @ weights + biases, 4, axis=-1)
    kept = jax.nn.sigmoid(f) * cell
    cell = kept + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


PLAIN: Ops = {
    each.__name__: each
    for each in (
        dense,
        tanh,
        relu,
        silu,
        softmax,
        cross_entropy,
        squared,
        layer_norm,
        batch_norm,
        attention,
        convolution,
        pool,
        embedding,
        recurrent,
        gates,
    )
}


def mlp_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    hidden = ops["tanh"](ops["dense"](x, p["w1"], p["b1"]))
    hidden = ops["relu"](dense(hidden, p["w2"], p["b2"]))
    return ops["cross_entropy"](dense(hidden, p["w3"], p["b3"]), y)


def layer_norm_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    hidden = ops["layer_norm"](dense(x, p["w1"], p["b1"]), p["gain"], p["bias"])
    hidden = ops["silu"](hidden)
    return ops["squared"](dense(hidden, p["w3"], p["b3"]), y)


def batch_norm_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    hidden = ops["batch_norm"](dense(x, p["w1"], p["b1"]), p["gain"], p["bias"])
    return ops["cross_entropy"](dense(ops["tanh"](hidden), p["w3"], p["b3"]), y)


def attention_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    mixed = ops["attention"](x @ p["q"], x @ p["k"], x @ p["v"])
    return squared(x + mixed @ p["o"], y)


def convolution_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    hidden = ops["relu"](ops["convolution"](x, p["kernel"]) + p["bias"][:, None, None])
    hidden = ops["pool"](hidden)
    return cross_entropy(ops["dense"](hidden.reshape(len(x), -1), p["w"], p["b"]), y)


def recurrent_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    def step(state: Any, row: Any) -> Any:
        return ops["recurrent"](state, row, p["inner"], p["outer"]), None

    state, _ = jax.lax.scan(step, jnp.zeros((x.shape[1], len(p["inner"]))), x)
    return squared(state @ p["w"], y)


def lstm_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    def step(state: Any, row: Any) -> Any:
        found = ops["gates"](state, row, p["weights"], p["biases"])
        return found, found[0]

    zeros = jnp.zeros((x.shape[1], p["weights"].shape[1] // 4))
    _, states = jax.lax.scan(step, (zeros, zeros), x)
    return squared(states.mean(0) @ p["w"], y)


def embedding_loss(p: Any, ids: Any, y: Any, ops: Ops) -> Any:
    pooled = ops["embedding"](p["table"], ids).mean(1)
    return cross_entropy(ops["dense"](ops["tanh"](pooled), p["w"], p["b"]), y)


def softmax_loss(p: Any, x: Any, y: Any, ops: Ops) -> Any:
    shares = ops["softmax"](ops["dense"](x, p["w"], p["b"]))
    return ops["squared"](shares, y)


class Family(NamedTuple):
    """A loss of (params, *args, ops), and a point."""

    loss: Callable[..., Any]
    point: Callable[[], tuple[Any, ...]]


def _normal(seed: int, **shapes: tuple[int, ...]) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=shape) / np.sqrt(shape[0] if len(shape) > 1 else 2)
        for name, shape in shapes.items()
    }


def _labels(count: int, classes: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, classes, count)


def _inputs(*shape: int) -> np.ndarray:
    return np.random.default_rng(8).normal(size=shape)


HEAD = {"w3": (8, 3), "b3": (3,)}
NORM = {"w1": (5, 8), "b1": (8,), "gain": (8,), "bias": (8,)} | HEAD
FAMILIES = {
    "mlp": Family(
        mlp_loss,
        lambda: (
            _normal(1, w1=(5, 8), b1=(8,), w2=(8, 8), b2=(8,), **HEAD),
            _inputs(12, 5),
            _labels(12, 3),
        ),
    ),
    "layer_norm": Family(
        layer_norm_loss, lambda: (_normal(2, **NORM), _inputs(12, 5), _inputs(12, 3))
    ),
    "batch_norm": Family(
        batch_norm_loss, lambda: (_normal(3, **NORM), _inputs(12, 5), _labels(12, 3))
    ),
    "attention": Family(
        attention_loss,
        lambda: (
            _normal(4, q=(6, 6), k=(6, 6), v=(6, 6), o=(6, 6)),
            _inputs(7, 6),
            _inputs(7, 6) / 2,
        ),
    ),
    "convolution": Family(
        convolution_loss,
        lambda: (
            _normal(5, kernel=(3, 2, 3, 3), bias=(3,), w=(48, 3), b=(3,)),
            _inputs(5, 2, 8, 8),
            _labels(5, 3),
        ),
    ),
    "recurrent": Family(
        recurrent_loss,
        lambda: (_normal(6, inner=(4, 4), outer=(3, 4), w=(4, 2)), _inputs(5, 6, 3), _inputs(6, 2)),
    ),
    "lstm": Family(
        lstm_loss,
        lambda: (
            _normal(7, weights=(7, 16), biases=(16,), w=(4, 2)),
            _inputs(4, 6, 3),
            _inputs(6, 2),
        ),
    ),
    "embedding": Family(
        embedding_loss,
        lambda: (
            _normal(8, table=(9, 6), w=(6, 3), b=(3,)),
            _labels(24, 9).reshape(8, 3),
            _labels(8, 3),
        ),
    ),
    "softmax": Family(
        softmax_loss, lambda: (_normal(9, w=(5, 4), b=(4,)), _inputs(9, 5), _inputs(9, 4))
    ),
}
