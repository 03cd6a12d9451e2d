"""Losses made of softmax: temperature, label smoothing, masked attention pooling, focal loss, InfoNCE."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
SMOOTH = 0.1
GAMMA = 2.0
TAU = 0.3


def make():
    rng = np.random.default_rng(11)
    B, T, D, K = 6, 5, 4, 4
    params = {
        "temp": jnp.asarray(1.7),
        "W": jnp.asarray(rng.normal(size=(D, K)) * 0.8),
        "F": jnp.asarray(rng.normal(size=(D, K)) * 0.8),
        "query": jnp.asarray(rng.normal(size=D) * 0.8),
        "A": jnp.asarray(rng.normal(size=(D, D)) * 0.8),
        "C": jnp.asarray(rng.normal(size=(D, D)) * 0.8),
    }
    seq = jnp.asarray(rng.normal(size=(B, T, D)))
    mask = jnp.asarray(np.arange(T)[None, :] < np.array([5, 3, 4, 2, 5, 1])[:, None])
    other = jnp.asarray(rng.normal(size=(B, D)))
    y = jnp.asarray(rng.integers(0, K, size=B))
    return params, (seq, mask, other, y)


def pool(query, seq, mask):
    energy = seq @ query
    hidden = jnp.where(mask, energy, -1e9)
    alpha = jax.nn.softmax(hidden, axis=1)
    return jnp.einsum("bt,btd->bd", alpha, seq)


def smoothed(feat, W, temp, y):
    K = W.shape[1]
    logits = feat @ W
    cooled = logits / temp
    logp = jax.nn.log_softmax(cooled, axis=1)
    hot = jax.nn.one_hot(y, K)
    soft = (1.0 - SMOOTH) * hot + SMOOTH / K
    ce = -jnp.sum(soft * logp, axis=1)
    return jnp.mean(ce)


def focal(feat, F, y):
    scores = feat @ F
    logq = jax.nn.log_softmax(scores, axis=1)
    logpt = logq[jnp.arange(y.shape[0]), y]
    pt = jnp.exp(logpt)
    weight = (1.0 - pt) ** GAMMA
    return -jnp.mean(weight * logpt)


def info_nce(a, b):
    na = jnp.sqrt(jnp.sum(a ** 2, axis=1, keepdims=True))
    ua = a / na
    nb = jnp.sqrt(jnp.sum(b ** 2, axis=1, keepdims=True))
    ub = b / nb
    sim = ua @ ub.T / TAU
    rows = jnp.mean(jax.nn.logsumexp(sim, axis=1))
    cols = jnp.mean(jax.nn.logsumexp(sim, axis=0))
    match = jnp.mean(jnp.diag(sim))
    return 0.5 * (rows + cols) - match


def loss(params, seq, mask, other, y):
    feat = pool(params["query"], seq, mask)
    first = smoothed(feat, params["W"], params["temp"], y)
    second = focal(feat, params["F"], y)
    left = feat @ params["A"]
    right = other @ params["C"]
    third = info_nce(left, right)
    return first + second + third


# ---- by hand


def smoothed_bwd(f, W, temp, y):
    N, K = f.shape[0], W.shape[1]
    z = f @ W
    p = jax.nn.softmax(z / temp, axis=1)
    t = jnp.full((N, K), SMOOTH / K)
    t = t.at[jnp.arange(N), y].add(1.0 - SMOOTH)
    dcool = (p - t) / N
    dz = dcool / temp
    dtemp = -jnp.sum(dcool * z) / temp ** 2
    return dz @ W.T, f.T @ dz, dtemp


def focal_bwd(f, F, y):
    N = f.shape[0]
    rows = jnp.arange(N)
    q = jax.nn.softmax(f @ F, axis=1)
    p = q[rows, y]
    lp = jnp.log(p)
    dlp = -(1.0 - p) ** GAMMA
    dp = GAMMA * (1.0 - p) ** (GAMMA - 1.0) * lp
    dlp = dlp + dp * p
    dlp = dlp / N
    ds = -q * dlp[:, None]
    ds = ds.at[rows, y].add(dlp)
    return ds @ F.T, f.T @ ds


def unit_bwd(du, u, norm):
    along = jnp.sum(du * u, axis=1, keepdims=True)
    return (du - u * along) / norm


def nce_bwd(a, b):
    N = a.shape[0]
    la = jnp.linalg.norm(a, axis=1, keepdims=True)
    lb = jnp.linalg.norm(b, axis=1, keepdims=True)
    u, v = a / la, b / lb
    s = (u @ v.T) / TAU
    pr = jax.nn.softmax(s, axis=1)
    pc = jax.nn.softmax(s, axis=0)
    dsim = 0.5 * (pr + pc) - jnp.eye(N)
    dsim = dsim / N
    dsim = dsim / TAU
    du = dsim @ v
    dv = dsim.T @ u
    return unit_bwd(du, u, la), unit_bwd(dv, v, lb)


def pool_bwd(df, query, seq, mask):
    w = jnp.where(mask, jnp.exp(seq @ query), 0.0)
    alpha = w / w.sum(axis=1, keepdims=True)
    dalpha = jnp.einsum("bd,btd->bt", df, seq)
    centre = jnp.sum(alpha * dalpha, axis=1, keepdims=True)
    denergy = alpha * (dalpha - centre)
    return jnp.einsum("bt,btd->d", denergy, seq)


def gradient(params, seq, mask, other, y):
    p = params
    w = jnp.where(mask, jnp.exp(jnp.einsum("btd,d->bt", seq, p["query"])), 0.0)
    f = jnp.einsum("bt,btd->bd", w / w.sum(axis=1)[:, None], seq)
    df1, dW, dtemp = smoothed_bwd(f, p["W"], p["temp"], y)
    df2, dF = focal_bwd(f, p["F"], y)
    dl, dr = nce_bwd(f @ p["A"], other @ p["C"])
    dA = f.T @ dl
    dC = other.T @ dr
    df = df1 + df2
    df = df + dl @ p["A"].T
    dquery = pool_bwd(df, p["query"], seq, mask)
    return {"temp": dtemp, "W": dW, "F": dF, "query": dquery, "A": dA, "C": dC}


COOLED = "cooled = logits / temp"
SOFT = "soft = (1.0 - SMOOTH) * hot + SMOOTH / K"
WEIGHT = "weight = (1.0 - pt) ** GAMMA"
FOCAL = "return -jnp.mean(weight * logpt)"
LOGQ = "logq = jax.nn.log_softmax(scores, axis=1)"
PT = "pt = jnp.exp(logpt)"
SIM = "sim = ua @ ub.T / TAU"
UA, NA = "ua = a / na", "na = jnp.sqrt(jnp.sum(a ** 2, axis=1, keepdims=True))"
UB, NB = "ub = b / nb", "nb = jnp.sqrt(jnp.sum(b ** 2, axis=1, keepdims=True))"
COLS = "cols = jnp.mean(jax.nn.logsumexp(sim, axis=0))"
ROWS = "rows = jnp.mean(jax.nn.logsumexp(sim, axis=1))"
MATCH = "match = jnp.mean(jnp.diag(sim))"
NCE = "return 0.5 * (rows + cols) - match"
ALPHA = "alpha = jax.nn.softmax(hidden, axis=1)"
HIDDEN = "hidden = jnp.where(mask, energy, -1e9)"
POOLED = "return jnp.einsum(\"bt,btd->bd\", alpha, seq)"

BUGS = [
    Bug("temperature_forgotten", "dz = dcool / temp\n", "dz = dcool\n", (COOLED,), "temperature forgotten in the backward"),
    Bug("temperature_multiplied", "dz = dcool / temp\n", "dz = dcool * temp\n", (COOLED,), "multiplied by the temperature"),
    Bug("temperature_twice", "dz = dcool / temp\n", "dz = dcool / temp ** 2\n", (COOLED,), "temperature applied twice"),
    Bug("temperature_gradient_sign", "dtemp = -jnp.sum(dcool * z) / temp ** 2", "dtemp = jnp.sum(dcool * z) / temp ** 2", (COOLED,), "minus of 1/t lost"),
    Bug("temperature_gradient_power", "dtemp = -jnp.sum(dcool * z) / temp ** 2", "dtemp = -jnp.sum(dcool * z) / temp", (COOLED,), "1/t for 1/t^2"),
    Bug("temperature_in_forward_only", "p = jax.nn.softmax(z / temp, axis=1)", "p = jax.nn.softmax(z, axis=1)", (COOLED, "logp = jax.nn.log_softmax(cooled, axis=1)"), "softmax without the temperature in the backward"),
    Bug("smoothing_forgotten", "    t = jnp.full((N, K), SMOOTH / K)\n    t = t.at[jnp.arange(N), y].add(1.0 - SMOOTH)\n", "    t = jax.nn.one_hot(y, K)\n", (SOFT,), "hard labels in the backward"),
    Bug("smoothing_k_minus_one", "t = jnp.full((N, K), SMOOTH / K)", "t = jnp.full((N, K), SMOOTH / (K - 1))", (SOFT,), "the other convention: eps/(K-1)"),
    Bug("smoothing_set", "t = t.at[jnp.arange(N), y].add(1.0 - SMOOTH)", "t = t.at[jnp.arange(N), y].set(1.0 - SMOOTH)", (SOFT,), "true class lacks its eps/K"),
    Bug("focal_modulator_constant", "    dlp = dlp + dp * p\n", "", (WEIGHT, FOCAL), "focal weight treated as a constant"),
    Bug("focal_sign", "dlp = dlp + dp * p", "dlp = dlp - dp * p", (WEIGHT,), "sign of the derivative of (1 - p)^gamma"),
    Bug("focal_missing_p", "dlp = dlp + dp * p", "dlp = dlp + dp", (PT,), "dp/dlogp = p forgotten"),
    Bug("focal_gamma_missing", "dp = GAMMA * (1.0 - p) ** (GAMMA - 1.0) * lp", "dp = (1.0 - p) ** (GAMMA - 1.0) * lp", (WEIGHT,), "factor gamma forgotten"),
    Bug("focal_power", "(1.0 - p) ** (GAMMA - 1.0) * lp", "(1.0 - p) ** GAMMA * lp", (WEIGHT,), "power not lowered by one"),
    Bug("focal_no_log", "(1.0 - p) ** (GAMMA - 1.0) * lp", "(1.0 - p) ** (GAMMA - 1.0)", (FOCAL,), "log p forgotten in the product rule"),
    Bug("focal_weights_ce_only", "    ds = -q * dlp[:, None]\n    ds = ds.at[rows, y].add(dlp)\n", "    ds = jnp.zeros_like(q).at[rows, y].add(dlp * (1.0 - p))\n",
        (LOGQ,), "softmax's diagonal only: other classes get no gradient"),
    Bug("nce_one_direction", "dsim = 0.5 * (pr + pc) - jnp.eye(N)", "dsim = pr - jnp.eye(N)", (COLS, NCE), "only the row direction of the symmetric loss"),
    Bug("nce_half_forgotten", "dsim = 0.5 * (pr + pc) - jnp.eye(N)", "dsim = pr + pc - jnp.eye(N)", (NCE,), "1/2 of the average forgotten"),
    Bug("nce_positive_forgotten", "dsim = 0.5 * (pr + pc) - jnp.eye(N)", "dsim = 0.5 * (pr + pc)", (MATCH, NCE), "positives forgotten"),
    Bug("nce_cols_axis", "pc = jax.nn.softmax(s, axis=0)", "pc = jax.nn.softmax(s, axis=1).T", (COLS,), "transposed the row softmax instead of normalising columns"),
    Bug("nce_tau_forgotten", "    dsim = dsim / TAU\n", "", (SIM,), "temperature forgotten"),
    Bug("nce_tau_twice", "    du = dsim @ v\n", "    du = dsim @ v / TAU\n", (SIM,), "temperature twice on one side"),
    Bug("nce_dv_not_transposed", "dv = dsim.T @ u", "dv = dsim @ u", (SIM,), "similarity's gradient not transposed"),
    Bug("nce_detached_key", "unit_bwd(dv, v, lb)", "jnp.zeros_like(b)", (SIM, UB), "the second encoder detached"),
    Bug("norm_path_dropped", "return (du - u * along) / norm", "return du / norm", (NA, NB, UA, UB), "norm treated as a constant"),
    Bug("norm_not_divided", "return (du - u * along) / norm", "return du - u * along", (UA, UB), "division by the norm forgotten"),
    Bug("norm_squared", "return (du - u * along) / norm", "return (du - u * along) / norm ** 2", (UA, UB), "norm squared"),
    Bug("norm_with_raw", "return unit_bwd(du, u, la), unit_bwd(dv, v, lb)", "return unit_bwd(du, a, la), unit_bwd(dv, v, lb)", (NA, UA), "unnormalised vector in the projection"),
    Bug("norm_swapped", "return unit_bwd(du, u, la), unit_bwd(dv, v, lb)", "return unit_bwd(du, u, lb), unit_bwd(dv, v, lb)", (UA,), "the other side's norm"),
    Bug("pool_diagonal", "denergy = alpha * (dalpha - centre)", "denergy = alpha * (1.0 - alpha) * dalpha", (ALPHA,), "softmax's diagonal only"),
    Bug("pool_uncentred", "denergy = alpha * (dalpha - centre)", "denergy = alpha * dalpha", (ALPHA,), "weighted mean not subtracted"),
    Bug("pool_mask_missing", "w = jnp.where(mask, jnp.exp(seq @ query), 0.0)", "w = jnp.exp(seq @ query)", (HIDDEN,), "mask left out in the pooling's backward"),
    Bug("pool_mask_left", "w = jnp.where(mask, jnp.exp(jnp.einsum(", "w = jnp.where(mask[:, ::-1], jnp.exp(jnp.einsum(", (HIDDEN,), "padding assumed on the left"),
    Bug("pool_masked_before_exp", "w = jnp.where(mask, jnp.exp(seq @ query), 0.0)", "w = jnp.exp((seq @ query) * mask)", (HIDDEN,), "masked by multiplying the energies: exp(0) = 1 remains"),
    Bug("feature_path_focal", "df = df1 + df2\n", "df = df1\n", ("second = focal(feat, params[\"F\"], y)", "scores = feat @ F"), "the focal loss' path into the features forgotten"),
    Bug("feature_path_nce", "    df = df + dl @ p[\"A\"].T\n", "", ("left = feat @ params[\"A\"]",), "the contrastive loss' path into the features forgotten"),
    Bug("feature_no_transpose", "df = df + dl @ p[\"A\"].T", "df = df + dl @ p[\"A\"]", ("left = feat @ params[\"A\"]",), "A not transposed"),
    Bug("pair_temp_and_focal", "    return dz @ W.T, f.T @ dz, dtemp\n\n\ndef focal_bwd(f, F, y):\n    N = f.shape[0]\n", "    return dz @ W.T, f.T @ dcool, dtemp\n\n\ndef focal_bwd(f, F, y):\n    N = f.shape[0]\n    F = F / 2.0\n",
        (COOLED, "logits = feat @ W", "scores = feat @ F"), "two mistakes: W without the temperature, F halved"),
]
