"""Two-head causal self-attention with an output projection, squared error."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
HEADS = 2


def make():
    rng = np.random.default_rng(5)
    B, T, D = 4, 5, 6

    def w(*shape):
        return jnp.asarray(rng.normal(size=shape) * 0.5)

    params = {"Wq": w(D, D), "Wk": w(D, D), "Wv": w(D, D), "Wo": w(D, D), "bq": w(D), "bv": w(D), "bo": w(D)}
    x = jnp.asarray(rng.normal(size=(B, T, D)))
    target = jnp.asarray(rng.normal(size=(B, T, D)))
    return params, (x, target)


def split_heads(a):
    B, T, D = a.shape
    return a.reshape(B, T, HEADS, D // HEADS).transpose(0, 2, 1, 3)


def merge_heads(a):
    B, H, T, E = a.shape
    return a.transpose(0, 2, 1, 3).reshape(B, T, H * E)


def loss(params, x, target):
    T = x.shape[1]
    q = split_heads(x @ params["Wq"] + params["bq"])
    k = split_heads(x @ params["Wk"])
    v = split_heads(x @ params["Wv"] + params["bv"])
    raw = q @ jnp.swapaxes(k, -1, -2)
    scores = raw / jnp.sqrt(q.shape[-1])
    mask = jnp.tril(jnp.ones((T, T), bool))
    masked = jnp.where(mask, scores, -jnp.inf)
    weights = jax.nn.softmax(masked, axis=-1)
    mixed = weights @ v
    merged = merge_heads(mixed)
    out = merged @ params["Wo"] + params["bo"]
    diff = out - target
    return jnp.mean(diff ** 2)


def gradient(params, x, target):
    p = params
    B, T, D = x.shape
    E = D // HEADS
    # forward
    Q = split_heads(x @ p["Wq"] + p["bq"])
    K = split_heads(x @ p["Wk"])
    V = split_heads(x @ p["Wv"] + p["bv"])
    scale = 1.0 / np.sqrt(E)
    S = jnp.einsum("bhid,bhjd->bhij", Q, K) * scale
    causal = jnp.arange(T)[:, None] >= jnp.arange(T)[None, :]
    S = jnp.where(causal, S, -1e30)
    P = jnp.exp(S - S.max(axis=-1, keepdims=True))
    P = P / P.sum(axis=-1, keepdims=True)
    O = jnp.einsum("bhij,bhjd->bhid", P, V)
    flat = merge_heads(O)
    y = flat @ p["Wo"] + p["bo"]
    # backward
    dy = 2.0 * (y - target) / y.size
    dWo = jnp.einsum("btd,bte->de", flat, dy)
    dbo = dy.sum(axis=(0, 1))
    dflat = dy @ p["Wo"].T
    dO = split_heads(dflat)
    dV = jnp.einsum("bhij,bhid->bhjd", P, dO)
    dP = jnp.einsum("bhid,bhjd->bhij", dO, V)
    row = jnp.sum(dP * P, axis=-1, keepdims=True)
    dS = P * (dP - row)
    dS = jnp.where(causal, dS, 0.0)
    draw = dS * scale
    dQ = jnp.einsum("bhij,bhjd->bhid", draw, K)
    dK = jnp.einsum("bhij,bhid->bhjd", draw, Q)
    dq = merge_heads(dQ)
    dk = merge_heads(dK)
    dv = merge_heads(dV)
    dWq = jnp.einsum("btd,bte->de", x, dq)
    dWk = jnp.einsum("btd,bte->de", x, dk)
    dWv = jnp.einsum("btd,bte->de", x, dv)
    dbq = dq.sum(axis=(0, 1))
    dbv = dv.sum(axis=(0, 1))
    return {"Wq": dWq, "Wk": dWk, "Wv": dWv, "Wo": dWo, "bq": dbq, "bv": dbv, "bo": dbo}


SOFTMAX = "weights = jax.nn.softmax(masked, axis=-1)"
RAW = "raw = q @ jnp.swapaxes(k, -1, -2)"
SCALE = "scores = raw / jnp.sqrt(q.shape[-1])"
MIXED = "mixed = weights @ v"
OUT = "out = merged @ params[\"Wo\"] + params[\"bo\"]"
MASK = "mask = jnp.tril(jnp.ones((T, T), bool))"
MASKED = "masked = jnp.where(mask, scores, -jnp.inf)"
MEAN = "return jnp.mean(diff ** 2)"
MERGE = "merged = merge_heads(mixed)"

BUGS = [
    Bug("scale_forgotten", "draw = dS * scale", "draw = dS", (SCALE,), "1/sqrt(d) forgotten in the backward"),
    Bug("scale_twice", "dQ = jnp.einsum(\"bhij,bhjd->bhid\", draw, K)", "dQ = scale * jnp.einsum(\"bhij,bhjd->bhid\", draw, K)",
        (RAW, SCALE), "scale applied once more for the queries"),
    Bug("scale_by_model_size", "scale = 1.0 / np.sqrt(E)", "scale = 1.0 / np.sqrt(D)", (SCALE,), "sqrt of the model size, not of the head size"),
    Bug("scale_no_root", "scale = 1.0 / np.sqrt(E)", "scale = 1.0 / E", (SCALE,), "divided by d instead of sqrt(d)"),
    Bug("scale_backward_inverse", "draw = dS * scale", "draw = dS / scale", (SCALE,), "multiplied by sqrt(d) where one divides"),
    Bug("diagonal_softmax", "dS = P * (dP - row)", "dS = dP * P * (1.0 - P)", (SOFTMAX,), "only the diagonal of the softmax's Jacobian"),
    Bug("softmax_no_row", "dS = P * (dP - row)", "dS = P * dP", (SOFTMAX,), "row sum of the softmax's Jacobian forgotten"),
    Bug("softmax_row_without_p", "row = jnp.sum(dP * P, axis=-1, keepdims=True)", "row = jnp.sum(dP, axis=-1, keepdims=True)",
        (SOFTMAX,), "sum of dP instead of dP * P"),
    Bug("softmax_row_axis", "row = jnp.sum(dP * P, axis=-1, keepdims=True)", "row = jnp.sum(dP * P, axis=-2, keepdims=True)",
        (SOFTMAX,), "summed over the queries in the softmax's backward"),
    Bug("softmax_row_mean", "row = jnp.sum(dP * P, axis=-1, keepdims=True)", "row = jnp.mean(dP * P, axis=-1, keepdims=True)",
        (SOFTMAX,), "mean for sum in the softmax's backward"),
    Bug("softmax_bracket", "dS = P * (dP - row)", "dS = P * dP - row", (SOFTMAX,), "wrong bracket: P * dP - row"),
    Bug("dp_transposed", "dP = jnp.einsum(\"bhid,bhjd->bhij\", dO, V)", "dP = jnp.einsum(\"bhid,bhjd->bhji\", dO, V)",
        (MIXED,), "dP transposed"),
    Bug("dv_without_transpose", "dV = jnp.einsum(\"bhij,bhid->bhjd\", P, dO)", "dV = jnp.einsum(\"bhij,bhjd->bhid\", P, dO)",
        (MIXED,), "P instead of P^T for the values"),
    Bug("dv_with_unmasked_scores", "dV = jnp.einsum(\"bhij,bhid->bhjd\", P, dO)", "dV = jnp.einsum(\"bhij,bhid->bhjd\", jax.nn.softmax(jnp.einsum(\"bhid,bhjd->bhij\", Q, K) * scale, -1), dO)",
        (MIXED, MASKED), "probabilities recomputed without the mask for dV"),
    Bug("mask_flipped", "causal = jnp.arange(T)[:, None] >= jnp.arange(T)[None, :]", "causal = jnp.arange(T)[:, None] <= jnp.arange(T)[None, :]",
        (MASK,), "causal mask transposed"),
    Bug("mask_off_by_one", ">= jnp.arange(T)[None, :]", ">= jnp.arange(T)[None, :] - 1",
        (MASK,), "off by one: one future position visible"),
    Bug("mask_after_softmax", "    S = jnp.where(causal, S, -1e30)\n    P = jnp.exp(S - S.max(axis=-1, keepdims=True))\n    P = P / P.sum(axis=-1, keepdims=True)\n",
        "    P = jnp.exp(S - S.max(axis=-1, keepdims=True))\n    P = P / P.sum(axis=-1, keepdims=True)\n    P = P * causal\n",
        (MASKED, SOFTMAX), "mask multiplied after the softmax, rows no longer sum to 1"),
    Bug("mask_with_zero", "S = jnp.where(causal, S, -1e30)", "S = jnp.where(causal, S, 0.0)", (MASKED,), "masked scores set to 0, not -inf"),
    Bug("dq_dk_swapped", "    dQ = jnp.einsum(\"bhij,bhjd->bhid\", draw, K)\n    dK = jnp.einsum(\"bhij,bhid->bhjd\", draw, Q)\n",
        "    dQ = jnp.einsum(\"bhij,bhid->bhjd\", draw, K)\n    dK = jnp.einsum(\"bhij,bhjd->bhid\", draw, Q)\n",
        (RAW,), "dS transposed for both queries and keys"),
    Bug("dk_not_transposed", "dK = jnp.einsum(\"bhij,bhid->bhjd\", draw, Q)", "dK = jnp.einsum(\"bhij,bhjd->bhid\", draw, Q)",
        (RAW,), "dS^T forgotten for the keys"),
    Bug("dq_with_q", "dQ = jnp.einsum(\"bhij,bhjd->bhid\", draw, K)", "dQ = jnp.einsum(\"bhij,bhjd->bhid\", draw, Q)",
        (RAW,), "queries' gradient with the queries instead of the keys"),
    Bug("heads_reshaped_wrongly", "dO = split_heads(dflat)", "dO = dflat.reshape(B, HEADS, T, E)",
        (MERGE, "return a.transpose(0, 2, 1, 3).reshape(B, T, H * E)"), "reshape without the transpose when splitting the heads"),
    Bug("wo_not_transposed", "dflat = dy @ p[\"Wo\"].T", "dflat = dy @ p[\"Wo\"]", (OUT,), "output projection not transposed"),
    Bug("wo_wrong_input", "dWo = jnp.einsum(\"btd,bte->de\", flat, dy)", "dWo = jnp.einsum(\"btd,bte->de\", merge_heads(V), dy)",
        (OUT,), "values instead of the mixed values"),
    Bug("mean_over_batch_only", "dy = 2.0 * (y - target) / y.size", "dy = 2.0 * (y - target) / B", (MEAN,), "divided by the batch, not by all elements"),
    Bug("bias_batch_only", "dbv = dv.sum(axis=(0, 1))", "dbv = dv[0].sum(axis=0)",
        ("v = split_heads(x @ params[\"Wv\"] + params[\"bv\"])",), "bias gradient from the first example only"),
    Bug("bias_q_last_step", "dbq = dq.sum(axis=(0, 1))", "dbq = dq[:, -1].sum(axis=0)",
        ("q = split_heads(x @ params[\"Wq\"] + params[\"bq\"])",), "bias gradient from the last position only"),
    Bug("wk_uses_dq", "dWk = jnp.einsum(\"btd,bte->de\", x, dk)", "dWk = jnp.einsum(\"btd,bte->de\", x, dq)",
        ("k = split_heads(x @ params[\"Wk\"])",), "copy and paste: dq for Wk"),
    Bug("pair_scale_and_bias", "    dbq = dq.sum(axis=(0, 1))\n    dbv = dv.sum(axis=(0, 1))\n", "    dWq = dWq / scale\n    dbq = dq.sum(axis=(0, 1))\n    dbv = dv.mean(axis=(0, 1))\n",
        ("q = split_heads(x @ params[\"Wq\"] + params[\"bq\"])", "v = split_heads(x @ params[\"Wv\"] + params[\"bv\"])"),
        "two mistakes: scale undone for Wq, mean for bv"),
]
