"""The wrong rules of ``mistakes``: an operation's backward with one thing changed."""

# ruff: noqa: C901 - a rule here has a branch a mistake.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from families import PLAIN

Backward = Callable[..., tuple[Any, ...]]  # (args, cotangent) -> a cotangent an argument


def _right(op: str, args: tuple[Any, ...], ct: Any) -> list[Any]:
    return list(jax.vjp(PLAIN[op], *args)[1](ct))


def dense_rule(**wrong: Callable[..., Any]) -> Backward:
    """Return a dense layer's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        x, w, _ = args
        parts = {"x": lambda: ct @ w.T, "w": lambda: x.T @ ct, "b": lambda: ct.sum(0)}
        return tuple(
            wrong[name](x, w, ct) if name in wrong else right() for name, right in parts.items()
        )

    return backward


def unary_rule(slope: Callable[[Any], Any]) -> Backward:
    """Return an elementwise operation's backward with one thing changed."""
    return lambda args, ct: (ct * slope(args[0]),)


def norm_rule(axis: int, change: str) -> Backward:
    """Return a normalisation's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        x, gain, _ = args
        n = x.shape[axis]
        centred = x - x.mean(axis, keepdims=True)
        inverse = 1 / jnp.sqrt((centred**2).mean(axis, keepdims=True) + 1e-5)
        scaled = centred * inverse
        d = ct if change == "gain forgotten" else ct * gain
        mean = d.mean(axis, keepdims=True)
        slope = (d * scaled).mean(axis, keepdims=True)
        if change == "mean held":
            mean = 0 * mean
        if change == "variance held":
            slope = 0 * slope
        if change == "both held":
            mean, slope = 0 * mean, 0 * slope
        if change == "sum for mean":
            slope = slope * n
        if change == "ddof":
            slope = slope * n / (n - 1)
        if change == "variance twice":
            slope = 2 * slope
        if change == "not normalised":
            slope = (d * centred).mean(axis, keepdims=True)
        if change == "inverse forgotten":
            inverse = 1.0
        d_x = inverse * (d - mean - scaled * slope)
        d_gain = (ct * (centred if change == "gain of centred" else scaled)).sum(0)
        d_gain = (ct * scaled).mean(0) if change == "gain's mean" else d_gain
        d_bias = d.sum(0) if change == "bias of scaled" else ct.sum(0)
        return d_x, d_gain, d_bias

    return backward


def attention_rule(change: str) -> Backward:
    """Return attention's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        q, k, v = args
        scale = 1 / np.sqrt(q.shape[-1])
        causal = jnp.tril(jnp.ones((len(q), len(k))))
        weights = PLAIN["softmax"](jnp.where(causal > 0, q @ k.T * scale, -1e9))
        d_weights = ct @ v.T
        d_v = (weights if change == "weights for their transpose" else weights.T) @ ct
        row = (d_weights * weights).sum(-1, keepdims=True)
        if change == "over the columns":
            row = (d_weights * weights).sum(0, keepdims=True)
        if change == "diagonal":
            row = d_weights * weights
        if change == "row sum forgotten":
            row = 0 * row
        if change == "row sum unweighted":
            row = d_weights.sum(-1, keepdims=True)
        d_scores = weights * (d_weights - row)
        if change == "softmax left out":
            d_scores = d_weights
        if change == "softmax left out, masked":
            d_scores = d_weights * causal
        if change == "scale forgotten":
            scale = 1.0
        if change == "scale twice":
            scale = scale**2
        d_q = d_scores @ k * scale
        d_k = (d_scores if change == "scores for their transpose" else d_scores.T) @ q * scale
        if change == "q for k":
            d_q = d_scores @ q * scale
        if change == "scale in q alone":
            d_k = d_k / scale
        if change == "swapped":
            d_q, d_k = d_k, d_q
        return d_q, d_k, d_v

    return backward


def convolution_rule(change: str) -> Backward:
    """Return a convolution's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        x, kernel = args
        d_x, d_kernel = _right("convolution", args, ct)
        if change == "kernel not flipped":
            d_x = jax.vjp(PLAIN["convolution"], x, kernel[:, :, ::-1, ::-1])[1](ct)[0]
        if change == "kernel's gradient flipped":
            d_kernel = d_kernel[:, :, ::-1, ::-1]
        if change == "mean over the batch":
            d_kernel = d_kernel / len(x)
        if change == "one example":
            d_kernel = jax.vjp(lambda w: PLAIN["convolution"](x[:1], w), kernel)[1](ct[:1])[0]
        if change == "rows shifted":
            d_kernel = jnp.roll(d_kernel, 1, axis=2)
        if change == "padding as valid":
            inside = jnp.pad(ct[:, :, 1:-1, 1:-1], ((0, 0), (0, 0), (1, 1), (1, 1)))
            d_kernel = jax.vjp(PLAIN["convolution"], x, kernel)[1](inside)[1]
        return d_x, d_kernel

    return backward


def pool_rule(change: str) -> Backward:
    """Return pooling's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        (x,) = args
        wide = jnp.repeat(jnp.repeat(ct, 2, 2), 2, 3)
        highest = jnp.repeat(jnp.repeat(PLAIN["pool"](x), 2, 2), 2, 3)
        if change == "to every element":
            return (wide,)
        if change == "mean":
            return (wide / 4,)
        below = wide * (x < highest)
        return (below,)

    return backward


def embedding_rule(change: str) -> Backward:
    """Return an embedding's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        table, ids = args
        zero = jnp.zeros_like(table)
        flat, rows = ids.ravel(), ct.reshape(-1, ct.shape[-1])
        if change == "overwritten":
            last = jnp.array(
                [np.flatnonzero(np.asarray(ids).ravel() == n)[-1] for n in np.unique(ids)]
            )
            d_table = zero.at[flat[last]].set(rows[last])
        elif change == "mean":
            counts = jnp.maximum(jnp.bincount(flat, length=len(table)), 1)
            d_table = zero.at[flat].add(rows) / counts[:, None]
        elif change == "shifted":
            d_table = zero.at[(flat + 1) % len(table)].add(rows)
        elif change == "first column of ids":
            d_table = zero.at[ids[:, 0]].add(ct[:, 0])
        elif change == "padding kept out":
            d_table = zero.at[flat].add(rows * (flat != 0)[:, None])
        else:
            d_table = zero.at[flat].add(rows) * 0.5
        return d_table, None

    return backward


def recurrent_rule(change: str) -> Backward:
    """Return a recurrent network's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        state, x, inner, outer = args
        after = PLAIN["recurrent"](*args)
        d = ct * (1 - after**2)
        if change == "derivative left out":
            d = ct
        if change == "derivative of the state before":
            d = ct * (1 - state**2)
        d_state = d @ (inner if change == "not transposed" else inner.T)
        if change == "not passed on":
            d_state = 0 * d_state
        if change == "before the derivative":
            d_state = ct @ inner.T
        d_inner = (after if change == "the state after" else state).T @ d
        if change == "inner's gradient of one example":
            d_inner = jnp.outer(state[0], d[0])
        if change == "outer's mean":
            return d_state, d @ outer.T, d_inner, x.T @ d / len(x)
        return d_state, d @ outer.T, d_inner, x.T @ d

    return backward


def gates_rule(change: str) -> Backward:
    """Return an LSTM's gates' backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        (hidden, cell), x, weights, biases = args
        joined = jnp.concatenate([x, hidden], -1)
        i, f, o, g = jnp.split(joined @ weights + biases, 4, axis=-1)
        si, sf, so, tg = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o), jnp.tanh(g)
        after = sf * cell + si * tg
        d_hidden, d_cell = ct
        d_o = d_hidden * jnp.tanh(after) * so * (1 - so)
        through = d_hidden * so * (1 - jnp.tanh(after) ** 2)
        if change == "output's tanh left out":
            through = d_hidden * so
        d_after = through if change == "cell not passed on" else d_cell + through
        if change == "cell alone":
            d_after = d_cell
        d_f = d_after * cell * sf * (1 - sf)
        if change == "forget of the cell after":
            d_f = d_after * after * sf * (1 - sf)
        d_i = d_after * tg * si * (1 - si)
        d_g = d_after * si * (1 - tg**2)
        if change == "candidate's derivative left out":
            d_g = d_after * si
        if change == "input's derivative left out":
            d_i = d_after * tg
        if change == "forget gate held":
            d_f = 0 * d_f
        order = [d_f, d_i, d_o, d_g] if change == "gates in another order" else [d_i, d_f, d_o, d_g]
        d_all = jnp.concatenate(order, -1)
        d_joined = d_all @ weights.T
        d_before = d_after if change == "forget's factor left out" else d_after * sf
        inputs = x.shape[-1]
        return (
            (d_joined[:, inputs:], d_before),
            d_joined[:, :inputs],
            joined.T @ d_all,
            d_all.sum(0),
        )

    return backward


def softmax_rule(change: str) -> Backward:
    """Return softmax's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        s = PLAIN["softmax"](args[0])
        return {
            "diagonal": (ct * s * (1 - s),),
            "left out": (ct,),
            "over the batch": (s * (ct - (ct * s).sum(0)),),
            "sum forgotten": (ct * s,),
            "sum unweighted": (s * (ct - ct.sum(-1, keepdims=True)),),
            "sign of the sum": (s * (ct + (ct * s).sum(-1, keepdims=True)),),
        }[change]

    return backward


def entropy_rule(change: str) -> Backward:
    """Return cross-entropy's backward with one thing changed."""

    def backward(args: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        logits, labels = args
        p = jax.nn.softmax(logits)
        hot = jax.nn.one_hot(labels, logits.shape[1])
        n = len(logits)
        found = {
            "labels forgotten": p / n,
            "sign": (hot - p) / n,
            "sum": p - hot,
            "over the classes": (p - hot) / logits.shape[1],
            "label alone": hot * (p - hot) / n,
            "softmax twice": (jax.nn.softmax(p) - hot) / n,
            "labels shifted": (p - jnp.roll(hot, 1, axis=0)) / n,
            "sigmoid": (jax.nn.sigmoid(logits) - hot) / n,
            "softmax's slope again": p * (1 - p) * (p - hot) / n,
        }
        return ct * found[change], None

    return backward


def squared_rule(factor: Callable[[Any, Any], Any]) -> Backward:
    """Return squared error's backward with one thing changed."""
    return lambda args, ct: (ct * factor(*args), -ct * factor(*args))
