"""Token + position (+ segment) embeddings, one hidden layer, tied output head, padding excluded."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
PAD = 0


def make():
    rng = np.random.default_rng(10)
    V, D, T, B = 9, 5, 6, 4
    params = {
        "tok": jnp.asarray(rng.normal(size=(V, D)) * 0.7),
        "pos": jnp.asarray(rng.normal(size=(T, D)) * 0.7),
        "seg": jnp.asarray(rng.normal(size=(2, D)) * 0.7),
        "W": jnp.asarray(rng.normal(size=(D, D)) * 0.7),
        "b": jnp.asarray(rng.normal(size=D) * 0.3),
        "bias": jnp.asarray(rng.normal(size=V) * 0.3),
        "U": jnp.asarray(rng.normal(size=(D, 3)) * 0.7),
    }
    lengths = [6, 4, 5, 3]
    tokens = np.zeros((B, T), int)
    segments = np.zeros((B, T), int)
    for i, n in enumerate(lengths):
        tokens[i, :n] = rng.integers(1, V, size=n)
        segments[i, n // 2:] = 1
    labels = np.roll(tokens, -1, axis=1)
    labels[:, -1] = PAD
    topic = rng.integers(0, 3, size=B)
    return params, (jnp.asarray(tokens), jnp.asarray(segments), jnp.asarray(labels), jnp.asarray(topic))


def loss(params, tokens, segments, labels, topic):
    B, T = tokens.shape
    D = params["tok"].shape[1]
    looked = params["tok"][tokens]
    scaled = looked * jnp.sqrt(D)
    placed = scaled + params["pos"][:T]
    emb = placed + params["seg"][segments]
    pre = emb @ params["W"] + params["b"]
    h = jnp.tanh(pre)
    res = h + emb
    logits = res @ params["tok"].T + params["bias"]
    logp = jax.nn.log_softmax(logits, axis=-1)
    nll = -jnp.take_along_axis(logp, labels[..., None], axis=-1)[..., 0]
    mask = (labels != PAD).astype(nll.dtype)
    lm = jnp.sum(nll * mask) / jnp.sum(mask)
    real = (tokens != PAD).astype(nll.dtype)
    count = jnp.sum(real, axis=1, keepdims=True)
    pooled = jnp.sum(res * real[..., None], axis=1) / count
    scores = pooled @ params["U"]
    logq = jax.nn.log_softmax(scores, axis=-1)
    cls = -jnp.mean(logq[jnp.arange(B), topic])
    return lm + cls


def gradient(params, tokens, segments, labels, topic):
    E, P, S, W, b = (params[k] for k in ("tok", "pos", "seg", "W", "b"))
    B, T = tokens.shape
    V, D = E.shape
    # forward
    x = E[tokens] * np.sqrt(D) + P[None, :T] + S[segments]
    a = jnp.tanh(x @ W + b)
    r = a + x
    prob = jax.nn.softmax(r @ E.T + params["bias"], axis=-1)
    keep = labels != PAD
    there = tokens != PAD
    n = there.sum(axis=1)
    mean = (r * there[:, :, None]).sum(axis=1) / n[:, None]
    q = jax.nn.softmax(mean @ params["U"], axis=-1)
    # backward: language model
    dlog = prob - jax.nn.one_hot(labels, V)
    dlog = dlog * keep[:, :, None]
    dlog = dlog / keep.sum()
    dbias = dlog.sum(axis=(0, 1))
    dE = jnp.einsum("btv,btd->vd", dlog, r)
    dr = dlog @ E
    # backward: classifier
    dq = (q - jax.nn.one_hot(topic, 3)) / B
    dU = mean.T @ dq
    dmean = dq @ params["U"].T
    dpool = dmean[:, None, :] * there[:, :, None] / n[:, None, None]
    dr = dr + dpool
    # backward: hidden layer and residual
    dpre = dr * (1.0 - a ** 2)
    dW = jnp.einsum("btd,bte->de", x, dpre)
    db = dpre.sum(axis=(0, 1))
    dx = dpre @ W.T
    dx = dx + dr
    # backward: tables
    dE = dE.at[tokens].add(dx * np.sqrt(D))
    dP = jnp.zeros_like(P).at[:T].add(dx.sum(axis=0))
    dS = jnp.zeros_like(S).at[segments].add(dx)
    return {"tok": dE, "pos": dP, "seg": dS, "W": dW, "b": db, "bias": dbias, "U": dU}


LOOKED = "looked = params[\"tok\"][tokens]"
SCALED = "scaled = looked * jnp.sqrt(D)"
PLACED = "placed = scaled + params[\"pos\"][:T]"
EMB = "emb = placed + params[\"seg\"][segments]"
LOGITS = "logits = res @ params[\"tok\"].T + params[\"bias\"]"
LM = "lm = jnp.sum(nll * mask) / jnp.sum(mask)"
MASK = "mask = (labels != PAD).astype(nll.dtype)"
POOLED = "pooled = jnp.sum(res * real[..., None], axis=1) / count"
REAL = "real = (tokens != PAD).astype(nll.dtype)"
RES = "res = h + emb"
PRE = "pre = emb @ params[\"W\"] + params[\"b\"]"

BUGS = [
    Bug("lookup_overwritten", "dE = dE.at[tokens].add(dx * np.sqrt(D))", "dE = dE + jnp.zeros_like(E).at[tokens].set(dx * np.sqrt(D))",
        (LOOKED,), "repeated tokens: .set for .add"),
    Bug("lookup_average", "dE = dE.at[tokens].add(dx * np.sqrt(D))",
        "dE = dE + jnp.zeros_like(E).at[tokens].add(dx * np.sqrt(D)) / jnp.maximum(jnp.zeros(V).at[tokens].add(1.0), 1.0)[:, None]",
        (LOOKED,), "averaged over a token's occurrences"),
    Bug("tied_head_path_missing", "dE = jnp.einsum(\"btv,btd->vd\", dlog, r)", "dE = jnp.zeros_like(E)", (LOGITS,), "tied weights get the lookup's gradient only"),
    Bug("tied_lookup_missing", "    dE = dE.at[tokens].add(dx * np.sqrt(D))\n", "", (LOOKED, SCALED), "tied weights get the head's gradient only"),
    Bug("lookup_resets_head", "dE = dE.at[tokens].add(dx * np.sqrt(D))", "dE = dE.at[tokens].set(dx * np.sqrt(D))",
        (LOGITS, LOOKED), "the lookup's scatter overwrites the head's gradient"),
    Bug("scale_forgotten", "dE = dE.at[tokens].add(dx * np.sqrt(D))", "dE = dE.at[tokens].add(dx)", (SCALED,), "sqrt(D) forgotten in the backward"),
    Bug("scale_by_D", "dE = dE.at[tokens].add(dx * np.sqrt(D))", "dE = dE.at[tokens].add(dx * D)", (SCALED,), "D for sqrt(D)"),
    Bug("scale_forward_forgotten", "x = E[tokens] * np.sqrt(D) + P[None, :T]", "x = E[tokens] + P[None, :T]", (SCALED,), "unscaled embeddings in the recomputed forward"),
    Bug("scale_bracket", "x = E[tokens] * np.sqrt(D) + P[None, :T] + S[segments]", "x = (E[tokens] + P[None, :T]) * np.sqrt(D) + S[segments]",
        (SCALED, PLACED), "bracket: the positions scaled too"),
    Bug("padding_in_loss", "    dlog = dlog * keep[:, :, None]\n", "", (LM, MASK), "padding not excluded in the backward"),
    Bug("divided_by_all_tokens", "dlog = dlog / keep.sum()", "dlog = dlog / (B * T)", (LM,), "divided by all positions, not the unmasked ones"),
    Bug("mask_per_sequence", "dlog = dlog / keep.sum()", "dlog = dlog / keep.sum(axis=1)[:, None, None] / B", (LM,), "mean of means instead of the overall mean"),
    Bug("mask_of_inputs", "keep = labels != PAD", "keep = tokens != PAD", (MASK,), "inputs' padding mask used for the labels"),
    Bug("pad_row_zeroed", "    return {\"tok\": dE,", "    dE = dE.at[PAD].set(0.0)\n    return {\"tok\": dE,", (LOGITS, LOOKED), "padding_idx: the pad row's gradient zeroed though the model doesn't"),
    Bug("pool_mask_forward_only", "dpool = dmean[:, None, :] * there[:, :, None] / n[:, None, None]", "dpool = dmean[:, None, :] / n[:, None, None] * jnp.ones((B, T, 1))",
        (POOLED,), "mask applied on the way forward only"),
    Bug("pool_divided_by_T", "there[:, :, None] / n[:, None, None]", "there[:, :, None] / T", (POOLED, "count = jnp.sum(real, axis=1, keepdims=True)"), "divided by T, not by the length"),
    Bug("pool_not_divided", "there[:, :, None] / n[:, None, None]", "there[:, :, None]", (POOLED,), "length of the mean pooling forgotten"),
    Bug("classifier_overwrites", "dr = dr + dpool", "dr = dpool", (LOGITS,), "= for +=: the language model's gradient lost"),
    Bug("classifier_path_missing", "    dr = dr + dpool\n", "", (POOLED,), "the classifier's path into the encoder forgotten"),
    Bug("residual_missing", "    dx = dx + dr\n", "", (RES,), "residual path forgotten"),
    Bug("residual_tanh", "dx = dx + dr", "dx = dx + dpre", (RES,), "residual gradient taken after tanh'"),
    Bug("tanh_of_residual", "dpre = dr * (1.0 - a ** 2)", "dpre = dr * (1.0 - r ** 2)", ("h = jnp.tanh(pre)",), "tanh' with the sum instead of the tanh"),
    Bug("position_mean", "jnp.zeros_like(P).at[:T].add(dx.sum(axis=0))", "jnp.zeros_like(P).at[:T].add(dx.mean(axis=0))", (PLACED,), "positions averaged over the batch"),
    Bug("position_wrong_axis", "jnp.zeros_like(P).at[:T].add(dx.sum(axis=0))", "jnp.zeros_like(P).at[:B].add(dx.sum(axis=1))", (PLACED,), "summed over time instead of the batch"),
    Bug("position_masked", "jnp.zeros_like(P).at[:T].add(dx.sum(axis=0))", "jnp.zeros_like(P).at[:T].add((dx * keep[:, :, None]).sum(axis=0))", (PLACED,), "the label mask applied to the inputs' gradient"),
    Bug("position_shifted", "jnp.zeros_like(P).at[:T].add(dx.sum(axis=0))", "jnp.roll(jnp.zeros_like(P).at[:T].add(dx.sum(axis=0)), 1, axis=0)", (PLACED,), "positions counted from 1"),
    Bug("segment_overwritten", "jnp.zeros_like(S).at[segments].add(dx)", "jnp.zeros_like(S).at[segments].set(dx)", (EMB,), "segment table: last write wins"),
    Bug("segment_complement", "jnp.zeros_like(S).at[segments].add(dx)", "jnp.zeros_like(S).at[1 - segments].add(dx)", (EMB,), "segments swapped"),
    Bug("weight_gradient_transposed", "dW = jnp.einsum(\"btd,bte->de\", x, dpre)", "dW = jnp.einsum(\"btd,bte->ed\", x, dpre)", (PRE,), "W's gradient transposed"),
    Bug("labels_not_shifted", "dlog = prob - jax.nn.one_hot(labels, V)", "dlog = prob - jax.nn.one_hot(tokens, V)",
        ("nll = -jnp.take_along_axis(logp, labels[..., None], axis=-1)[..., 0]",), "off by one: input tokens as labels"),
    Bug("pair_tied_and_bias", "    dbias = dlog.sum(axis=(0, 1))\n    dE = jnp.einsum(\"btv,btd->vd\", dlog, r)\n", "    dbias = prob.sum(axis=(0, 1)) / keep.sum()\n    dE = jnp.einsum(\"btv,btd->vd\", dlog, a)\n",
        (LOGITS,), "two mistakes in one line's backward: bias without labels and mask, head without the residual"),
]
