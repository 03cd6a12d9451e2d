"""GRU by lax.scan over a padded batch (the state is held past an example's length),
read-out of the last state, squared error; plus an Elman RNN scanned over the same input."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
KAPPA = 0.5


def make():
    rng = np.random.default_rng(9)
    B, T, d, H = 5, 5, 3, 4

    def w(*shape):
        return jnp.asarray(rng.normal(size=shape) * 0.6)

    params = {
        "gru": {"Wz": w(d, H), "Uz": w(H, H), "bz": w(H), "Wr": w(d, H), "Ur": w(H, H), "br": w(H),
                "Wn": w(d, H), "Un": w(H, H), "bn": w(H)},
        "rnn": {"W": w(d, H), "U": w(H, H), "b": w(H)},
        "out": {"V": w(H, 2), "c": w(2)},
    }
    x = jnp.asarray(rng.normal(size=(T, B, d)))
    lengths = jnp.asarray(np.array([5, 3, 4, 2, 5]))
    target = jnp.asarray(rng.normal(size=(B, 2)))
    return params, (x, lengths, target)


def gru_step(p, h, xt, valid):
    az = xt @ p["Wz"] + h @ p["Uz"] + p["bz"]
    z = jax.nn.sigmoid(az)
    ar = xt @ p["Wr"] + h @ p["Ur"] + p["br"]
    r = jax.nn.sigmoid(ar)
    gated = r * h
    an = xt @ p["Wn"] + gated @ p["Un"] + p["bn"]
    n = jnp.tanh(an)
    fresh = (1.0 - z) * n
    old = z * h
    h_new = fresh + old
    return jnp.where(valid[:, None], h_new, h)


def rnn_step(p, s, xt):
    pre = xt @ p["W"] + s @ p["U"] + p["b"]
    return jnp.tanh(pre)


def loss(params, x, lengths, target):
    T, B, _ = x.shape
    H = params["out"]["V"].shape[0]

    def step(carry, inp):
        h, s = carry
        xt, t = inp
        valid = t < lengths
        h = gru_step(params["gru"], h, xt, valid)
        s = rnn_step(params["rnn"], s, xt)
        penalty = jnp.mean(s ** 2)
        return (h, s), penalty

    start = (jnp.zeros((B, H)), jnp.zeros((B, H)))
    (h, s), penalties = jax.lax.scan(step, start, (x, jnp.arange(T)))
    both = h + s
    pred = both @ params["out"]["V"] + params["out"]["c"]
    err = pred - target
    fit = 0.5 * jnp.mean(jnp.sum(err ** 2, axis=1))
    return fit + KAPPA * jnp.sum(penalties)


def gradient(params, x, lengths, target):
    g, e, out = params["gru"], params["rnn"], params["out"]
    T, B, d = x.shape
    H = out["V"].shape[0]
    h = jnp.zeros((B, H))
    s = jnp.zeros((B, H))
    saved = []
    states = [s]
    for t in range(T):
        Z = jax.nn.sigmoid(x[t] @ g["Wz"] + h @ g["Uz"] + g["bz"])
        R = jax.nn.sigmoid(x[t] @ g["Wr"] + h @ g["Ur"] + g["br"])
        N = jnp.tanh(x[t] @ g["Wn"] + (R * h) @ g["Un"] + g["bn"])
        m = (t < lengths)[:, None] * 1.0
        saved.append((h, Z, R, N, m))
        h = m * ((1.0 - Z) * N + Z * h) + (1.0 - m) * h
        s = jnp.tanh(x[t] @ e["W"] + s @ e["U"] + e["b"])
        states.append(s)
    yhat = (h + s) @ out["V"] + out["c"]
    dy = (yhat - target) / B
    dV = (h + s).T @ dy
    dc = dy.sum(0)
    dboth = dy @ out["V"].T
    # GRU, backwards in time
    dg = {k: jnp.zeros_like(v) for k, v in g.items()}
    dh = dboth
    for t in range(T - 1, -1, -1):
        hp, Z, R, N, m = saved[t]
        dnew = dh * m
        dprev = dh * (1.0 - m)
        dZ = dnew * (hp - N)
        dN = dnew * (1.0 - Z)
        dprev = dprev + dnew * Z
        daN = dN * (1.0 - N * N)
        dgated = daN @ g["Un"].T
        dR = dgated * hp
        dprev = dprev + dgated * R
        daR = dR * R * (1.0 - R)
        daZ = dZ * Z * (1.0 - Z)
        dprev = dprev + daR @ g["Ur"].T
        dprev = dprev + daZ @ g["Uz"].T
        dg["Wn"] = dg["Wn"] + x[t].T @ daN
        dg["Un"] = dg["Un"] + (R * hp).T @ daN
        dg["bn"] = dg["bn"] + daN.sum(0)
        dg["Wr"] = dg["Wr"] + x[t].T @ daR
        dg["Ur"] = dg["Ur"] + hp.T @ daR
        dg["br"] = dg["br"] + daR.sum(0)
        dg["Wz"] = dg["Wz"] + x[t].T @ daZ
        dg["Uz"] = dg["Uz"] + hp.T @ daZ
        dg["bz"] = dg["bz"] + daZ.sum(0)
        dh = dprev
    # Elman network, backwards in time
    de = {k: jnp.zeros_like(v) for k, v in e.items()}
    ds = dboth
    for t in range(T - 1, -1, -1):
        st = states[t + 1]
        ds = ds + KAPPA * 2.0 * st / (B * H)
        da = ds * (1.0 - st ** 2)
        de["W"] = de["W"] + x[t].T @ da
        de["U"] = de["U"] + states[t].T @ da
        de["b"] = de["b"] + da.sum(0)
        ds = da @ e["U"].T
    return {"gru": dg, "rnn": de, "out": {"V": dV, "c": dc}}


AZ = "az = xt @ p[\"Wz\"] + h @ p[\"Uz\"] + p[\"bz\"]"
AR = "ar = xt @ p[\"Wr\"] + h @ p[\"Ur\"] + p[\"br\"]"
AN = "an = xt @ p[\"Wn\"] + gated @ p[\"Un\"] + p[\"bn\"]"
ZG = "z = jax.nn.sigmoid(az)"
RG = "r = jax.nn.sigmoid(ar)"
NG = "n = jnp.tanh(an)"
FRESH = "fresh = (1.0 - z) * n"
OLD = "old = z * h"
GATED = "gated = r * h"
HOLD = "return jnp.where(valid[:, None], h_new, h)"
PRE = "pre = xt @ p[\"W\"] + s @ p[\"U\"] + p[\"b\"]"
TANH = "return jnp.tanh(pre)"
PEN = "penalty = jnp.mean(s ** 2)"

BUGS = [
    Bug("update_gate_sign", "dZ = dnew * (hp - N)", "dZ = dnew * (N - hp)", (FRESH, OLD), "which side (1 - z) stands on"),
    Bug("update_gate_half", "dZ = dnew * (hp - N)", "dZ = dnew * hp", (FRESH,), "the -n from (1 - z) n forgotten"),
    Bug("candidate_gate_reversed", "dN = dnew * (1.0 - Z)", "dN = dnew * Z", (FRESH,), "z for 1 - z at the candidate"),
    Bug("carry_path_forgotten", "        dprev = dprev + dnew * Z\n", "", (OLD,), "the leaky path z * h to the previous state forgotten"),
    Bug("reset_path_forgotten", "        dprev = dprev + dgated * R\n", "", (GATED,), "the path r * h to the previous state forgotten"),
    Bug("reset_path_ungated", "dprev = dprev + dgated * R", "dprev = dprev + dgated", (GATED,), "reset gate not applied on the way back"),
    Bug("reset_other_factor", "dR = dgated * hp", "dR = dgated * N", (GATED,), "candidate for the previous state"),
    Bug("reset_gate_path", "        dprev = dprev + daR @ g[\"Ur\"].T\n", "", (AR,), "previous state through the reset gate forgotten"),
    Bug("update_gate_path_no_transpose", "daZ @ g[\"Uz\"].T", "daZ @ g[\"Uz\"]", (AZ,), "Uz not transposed"),
    Bug("candidate_tanh_missing", "daN = dN * (1.0 - N * N)", "daN = dN", (NG,), "tanh' of the candidate forgotten"),
    Bug("candidate_sigmoid", "daN = dN * (1.0 - N * N)", "daN = dN * N * (1.0 - N)", (NG,), "sigmoid's derivative for the candidate"),
    Bug("gate_derivatives_mixed", "daR = dR * R * (1.0 - R)", "daR = dR * Z * (1.0 - Z)", (RG,), "update gate's derivative in the reset gate"),
    Bug("update_sigmoid_plus", "daZ = dZ * Z * (1.0 - Z)", "daZ = dZ * Z * (1.0 + Z)", (ZG,), "sign in s(1 - s)"),
    Bug("un_without_reset", "dg[\"Un\"] + (R * hp).T @ daN", "dg[\"Un\"] + hp.T @ daN", (AN,), "reset gate forgotten in Un's gradient"),
    Bug("reset_after_product", "N = jnp.tanh(x[t] @ g[\"Wn\"] + (R * h) @ g[\"Un\"] + g[\"bn\"])", "N = jnp.tanh(x[t] @ g[\"Wn\"] + R * (h @ g[\"Un\"]) + g[\"bn\"])",
        (AN, GATED), "the other GRU convention: r * (h U)"),
    Bug("uz_not_accumulated", "dg[\"Uz\"] = dg[\"Uz\"] + hp.T @ daZ", "dg[\"Uz\"] = hp.T @ daZ", (AZ,), "= for +=; the first step has h = 0"),
    Bug("uz_wrong_state", "dg[\"Uz\"] + hp.T @ daZ", "dg[\"Uz\"] + saved[min(t + 1, T - 1)][0].T @ daZ", (AZ,), "off by one: new state for the old one"),
    Bug("wr_wrong_delta", "dg[\"Wr\"] + x[t].T @ daR", "dg[\"Wr\"] + x[t].T @ daZ", (AR,), "copy and paste: update gate's delta"),
    Bug("input_reversed", "dg[\"Wn\"] + x[t].T @ daN", "dg[\"Wn\"] + x[T - 1 - t].T @ daN", (AN,), "inputs read in forward order in the backward loop"),
    Bug("padding_not_masked", "dnew = dh * m", "dnew = dh", (HOLD,), "padded steps receive gradient"),
    Bug("held_path_dropped", "dprev = dh * (1.0 - m)", "dprev = jnp.zeros_like(dh)", (HOLD,), "gradient through the held state dropped: short sequences get none"),
    Bug("length_off_by_one", "m = (t < lengths)[:, None] * 1.0", "m = (t <= lengths)[:, None] * 1.0", ("valid = t < lengths",), "one padded step counted"),
    Bug("penalty_last_only", "        ds = ds + KAPPA * 2.0 * st / (B * H)\n", "        ds = ds + (KAPPA * 2.0 * st / (B * H) if t == T - 1 else 0.0)\n",
        (PEN, "return fit + KAPPA * jnp.sum(penalties)"), "activity penalty only at the last step"),
    Bug("penalty_factor", "KAPPA * 2.0 * st / (B * H)", "KAPPA * 2.0 * st / B", (PEN,), "mean over the batch only"),
    Bug("penalty_replaces", "ds = ds + KAPPA * 2.0 * st / (B * H)", "ds = KAPPA * 2.0 * st / (B * H) if t < T - 1 else ds", (PEN, PRE), "gradient from later steps overwritten by the penalty"),
    Bug("elman_tanh_missing", "da = ds * (1.0 - st ** 2)", "da = ds * (1.0 - states[t] ** 2)", (TANH,), "tanh' with the previous state"),
    Bug("elman_state_off_by_one", "de[\"U\"] + states[t].T @ da", "de[\"U\"] + states[t + 1].T @ da", (PRE,), "h_t for h_{t-1} in U's gradient"),
    Bug("elman_no_transpose", "ds = da @ e[\"U\"].T", "ds = da @ e[\"U\"]", (PRE,), "U not transposed"),
    Bug("elman_skip_tanh", "ds = da @ e[\"U\"].T", "ds = ds @ e[\"U\"].T", (TANH, PRE), "delta passed back without tanh'"),
    Bug("elman_no_bptt", "ds = da @ e[\"U\"].T", "ds = jnp.zeros_like(da)", (PRE,), "no backpropagation through time at all"),
    Bug("readout_one_branch", "dV = (h + s).T @ dy", "dV = h.T @ dy", ("pred = both @ params[\"out\"][\"V\"] + params[\"out\"][\"c\"]", "both = h + s"), "read-out's gradient lacks the second network"),
    Bug("pair_reset_and_bias", "        dg[\"br\"] = dg[\"br\"] + daR.sum(0)\n        dg[\"Wz\"] = dg[\"Wz\"] + x[t].T @ daZ\n        dg[\"Uz\"] = dg[\"Uz\"] + hp.T @ daZ\n        dg[\"bz\"] = dg[\"bz\"] + daZ.sum(0)\n",
        "        dg[\"br\"] = daR.sum(0)\n        dg[\"Wz\"] = dg[\"Wz\"] + x[t].T @ daZ\n        dg[\"Uz\"] = dg[\"Uz\"] + hp.T @ dZ\n        dg[\"bz\"] = dg[\"bz\"] + daZ.sum(0)\n",
        (AR, AZ), "two mistakes: br not accumulated, Uz without sigmoid'"),
]
