"""LSTM over a short sequence (Python loop), read-out at every step, softmax cross-entropy."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)


def make():
    rng = np.random.default_rng(8)
    B, T, d, H, K = 4, 4, 3, 4, 3
    params = {
        "Wx": jnp.asarray(rng.normal(size=(d, 4 * H)) * 0.6),
        "Wh": jnp.asarray(rng.normal(size=(H, 4 * H)) * 0.6),
        "b": jnp.asarray(rng.normal(size=4 * H) * 0.3),
        "h0": jnp.asarray(rng.normal(size=H) * 0.3),
        "c0": jnp.asarray(rng.normal(size=H) * 0.3),
        "Wy": jnp.asarray(rng.normal(size=(H, K)) * 0.7),
        "by": jnp.asarray(rng.normal(size=K) * 0.2),
    }
    x = jnp.asarray(rng.normal(size=(T, B, d)))
    y = jnp.asarray(rng.integers(0, K, size=(T, B)))
    return params, (x, y)


def cell(params, xt, h, c):
    H = h.shape[1]
    zx = xt @ params["Wx"]
    zh = h @ params["Wh"]
    z = zx + zh + params["b"]
    i = jax.nn.sigmoid(z[:, :H])
    f = jax.nn.sigmoid(z[:, H:2 * H])
    o = jax.nn.sigmoid(z[:, 2 * H:3 * H])
    g = jnp.tanh(z[:, 3 * H:])
    kept = f * c
    written = i * g
    c_new = kept + written
    tc = jnp.tanh(c_new)
    h_new = o * tc
    return h_new, c_new


def loss(params, x, y):
    T, B, _ = x.shape
    h = jnp.tile(params["h0"], (B, 1))
    c = jnp.tile(params["c0"], (B, 1))
    total = 0.0
    for t in range(T):
        h, c = cell(params, x[t], h, c)
        logits = h @ params["Wy"] + params["by"]
        logp = jax.nn.log_softmax(logits)
        total = total - jnp.sum(logp[jnp.arange(B), y[t]])
    return total / (T * B)


def gradient(params, x, y):
    Wx, Wh, b, Wy, by = (params[k] for k in ("Wx", "Wh", "b", "Wy", "by"))
    T, B, d = x.shape
    H = Wh.shape[0]
    hs = [jnp.broadcast_to(params["h0"], (B, H))]
    cs = [jnp.broadcast_to(params["c0"], (B, H))]
    gates = []
    probs = []
    for t in range(T):
        pre = x[t] @ Wx + hs[t] @ Wh + b
        zi, zf, zo, zg = jnp.split(pre, 4, axis=1)
        it = jax.nn.sigmoid(zi)
        ft = jax.nn.sigmoid(zf)
        ot = jax.nn.sigmoid(zo)
        gt = jnp.tanh(zg)
        ct = ft * cs[t] + it * gt
        ht = ot * jnp.tanh(ct)
        gates.append((it, ft, ot, gt))
        cs.append(ct)
        hs.append(ht)
        probs.append(jax.nn.softmax(ht @ Wy + by))
    dWx = jnp.zeros_like(Wx)
    dWh = jnp.zeros_like(Wh)
    db = jnp.zeros_like(b)
    dWy = jnp.zeros_like(Wy)
    dby = jnp.zeros_like(by)
    dh_next = jnp.zeros((B, H))
    dc_next = jnp.zeros((B, H))
    for t in reversed(range(T)):
        it, ft, ot, gt = gates[t]
        dlogits = probs[t].at[jnp.arange(B), y[t]].add(-1.0) / (T * B)
        dWy += hs[t + 1].T @ dlogits
        dby += dlogits.sum(0)
        dh = dlogits @ Wy.T + dh_next
        tanhc = jnp.tanh(cs[t + 1])
        do = dh * tanhc
        dtc = dh * ot
        dc = dtc * (1.0 - tanhc ** 2)
        dc = dc + dc_next
        df = dc * cs[t]
        di = dc * gt
        dg = dc * it
        dzi = di * it * (1.0 - it)
        dzf = df * ft * (1.0 - ft)
        dzo = do * ot * (1.0 - ot)
        dzg = dg * (1.0 - gt ** 2)
        dz = jnp.concatenate([dzi, dzf, dzo, dzg], axis=1)
        dWx += x[t].T @ dz
        dWh += hs[t].T @ dz
        db += dz.sum(0)
        dh_next = dz @ Wh.T
        dc_next = dc * ft
    dh0 = dh_next.sum(0)
    dc0 = dc_next.sum(0)
    return {"Wx": dWx, "Wh": dWh, "b": db, "h0": dh0, "c0": dc0, "Wy": dWy, "by": dby}


I = "i = jax.nn.sigmoid(z[:, :H])"
F = "f = jax.nn.sigmoid(z[:, H:2 * H])"
O = "o = jax.nn.sigmoid(z[:, 2 * H:3 * H])"
G = "g = jnp.tanh(z[:, 3 * H:])"
KEPT = "kept = f * c"
WRITTEN = "written = i * g"
CNEW = "c_new = kept + written"
TC = "tc = jnp.tanh(c_new)"
HNEW = "h_new = o * tc"
ZX = "zx = xt @ params[\"Wx\"]"
ZH = "zh = h @ params[\"Wh\"]"
Z = "z = zx + zh + params[\"b\"]"
LOGITS = "logits = h @ params[\"Wy\"] + params[\"by\"]"
STEP = "h, c = cell(params, x[t], h, c)"

BUGS = [
    Bug("dc_next_forgotten", "        dc = dc + dc_next\n", "", (KEPT, CNEW), "cell's gradient from the next step forgotten"),
    Bug("dh_next_forgotten", "dh = dlogits @ Wy.T + dh_next", "dh = dlogits @ Wy.T", (ZH,), "hidden state's gradient from the next step forgotten"),
    Bug("readout_forgotten_before_the_end", "dh = dlogits @ Wy.T + dh_next", "dh = (dlogits @ Wy.T if t == T - 1 else 0.0) + dh_next",
        (LOGITS,), "read-out's gradient only at the last step"),
    Bug("dc_overwritten", "dc = dc + dc_next", "dc = dc_next if t < T - 1 else dc", (TC, CNEW), "overwritten instead of accumulated"),
    Bug("forget_gate_new_cell", "df = dc * cs[t]\n", "df = dc * cs[t + 1]\n", (KEPT,), "off by one: new cell state for the forget gate"),
    Bug("dc_next_missing_forget", "dc_next = dc * ft", "dc_next = dc", (KEPT,), "forget gate not applied on the way back"),
    Bug("dc_next_input_gate", "dc_next = dc * ft", "dc_next = dc * it", (KEPT,), "input gate in place of the forget gate"),
    Bug("gates_swapped", "        di = dc * gt\n        dg = dc * it\n", "        di = dc * it\n        dg = dc * gt\n", (WRITTEN,), "i and g swapped in the product rule"),
    Bug("di_with_tanh_again", "di = dc * gt", "di = dc * jnp.tanh(gt)", (WRITTEN,), "candidate squashed a second time"),
    Bug("gate_sigmoid_for_candidate", "dzg = dg * (1.0 - gt ** 2)", "dzg = dg * gt * (1.0 - gt)", (G,), "sigmoid's derivative for the tanh candidate"),
    Bug("gate_tanh_for_output", "dzo = do * ot * (1.0 - ot)", "dzo = do * (1.0 - ot ** 2)", (O,), "tanh's derivative for the output gate"),
    Bug("gate_derivative_missing", "dzf = df * ft * (1.0 - ft)", "dzf = df", (F,), "sigmoid's derivative forgotten for the forget gate"),
    Bug("gate_half", "dzi = di * it * (1.0 - it)", "dzi = di * (1.0 - it)", (I,), "s(1-s) without the s"),
    Bug("gate_wrong_activation", "dzf = df * ft * (1.0 - ft)", "dzf = df * it * (1.0 - it)", (F,), "copy and paste: input gate's values"),
    Bug("gates_order", "dz = jnp.concatenate([dzi, dzf, dzo, dzg], axis=1)", "dz = jnp.concatenate([dzi, dzf, dzg, dzo], axis=1)",
        (O, G), "order of the gates differs between forward and backward"),
    Bug("forward_gates_order", "zi, zf, zo, zg = jnp.split(pre, 4, axis=1)", "zf, zi, zo, zg = jnp.split(pre, 4, axis=1)",
        (I, F), "input and forget gate swapped when splitting"),
    Bug("output_tanh_missing", "do = dh * tanhc", "do = dh * cs[t + 1]", (HNEW, TC), "cell state for its tanh in the output gate"),
    Bug("output_gate_missing", "dtc = dh * ot", "dtc = dh", (HNEW,), "output gate not applied on the way to the cell"),
    Bug("tanh_cell_derivative_missing", "dc = dtc * (1.0 - tanhc ** 2)", "dc = dtc", (TC,), "tanh' of the cell forgotten"),
    Bug("tanh_cell_old_state", "tanhc = jnp.tanh(cs[t + 1])", "tanhc = jnp.tanh(cs[t])", (TC, HNEW), "previous step's cell in the backward"),
    Bug("tanh_cell_raw", "dc = dtc * (1.0 - tanhc ** 2)", "dc = dtc * (1.0 - cs[t + 1] ** 2)", (TC,), "1 - c^2 for 1 - tanh(c)^2"),
    Bug("recurrent_weight_new_state", "dWh += hs[t].T @ dz", "dWh += hs[t + 1].T @ dz", (ZH,), "off by one: h_t for h_{t-1}"),
    Bug("recurrent_weight_not_accumulated", "dWh += hs[t].T @ dz", "dWh = hs[t].T @ dz", (ZH,), "= for +=: first step only"),
    Bug("input_weight_not_accumulated", "dWx += x[t].T @ dz", "dWx = x[t].T @ dz", (ZX,), "= for +=: first step only"),
    Bug("input_weight_off_by_one", "dWx += x[t].T @ dz", "dWx += x[t - 1].T @ dz", (ZX,), "previous input (and the last one for t = 0)"),
    Bug("bias_last_only", "        db += dz.sum(0)\n", "        db = dz.sum(0) if t == T - 1 else db\n", (Z,), "bias gets the last step only"),
    Bug("readout_old_state", "dWy += hs[t + 1].T @ dlogits", "dWy += hs[t].T @ dlogits", (LOGITS,), "off by one in the read-out's weights"),
    Bug("time_factor_missing", "add(-1.0) / (T * B)", "add(-1.0) / B", ("return total / (T * B)",), "1/T forgotten"),
    Bug("initial_state_mean", "dh0 = dh_next.sum(0)", "dh0 = dh_next.mean(0)", ("h = jnp.tile(params[\"h0\"], (B, 1))",), "initial state averaged over the batch"),
    Bug("initial_cell_from_h", "dc0 = dc_next.sum(0)", "dc0 = dh_next.sum(0)", ("c = jnp.tile(params[\"c0\"], (B, 1))",), "copy and paste: h's gradient for c0"),
    Bug("truncated_bptt", "dh_next = dz @ Wh.T", "dh_next = (dz @ Wh.T) * (t % 2)", (ZH, STEP), "hidden state detached every second step"),
    Bug("recurrent_transpose", "dh_next = dz @ Wh.T", "dh_next = dzi @ Wh[:, :H] + dzf @ Wh[:, H:2 * H] + dzo @ Wh[:, 2 * H:3 * H] + dzg @ Wh[:, 3 * H:]",
        (ZH,), "gate blocks not transposed"),
    Bug("one_gate_not_sent_back", "dh_next = dz @ Wh.T", "dh_next = dz[:, :3 * H] @ Wh[:, :3 * H].T", (ZH,), "the candidate's path to h_{t-1} forgotten"),
    Bug("pair_output_and_forget", "        do = dh * tanhc\n        dtc = dh * ot\n        dc = dtc * (1.0 - tanhc ** 2)\n        dc = dc + dc_next\n        df = dc * cs[t]\n",
        "        do = dh * tanhc\n        dtc = dh * tanhc\n        dc = dtc * (1.0 - tanhc ** 2)\n        dc = dc + dc_next\n        df = dc * ft\n",
        (HNEW, KEPT), "two mistakes: tanh(c) for o, and f for c in the product rule"),
]
