"""One pre-norm transformer block: RMS norm, single-head causal attention, residual,
RMS norm, GELU MLP, residual, pooled read-out with a logistic loss."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
EPS = 1e-2
C0 = float(np.sqrt(2.0 / np.pi))
C1 = 0.044715


def make():
    rng = np.random.default_rng(6)
    B, T, D, F = 4, 4, 6, 10

    def w(*shape):
        return jnp.asarray(rng.normal(size=shape) * 0.5)

    params = {
        "g1": 1.0 + 0.5 * w(D),
        "attn": {"q": w(D, D), "k": w(D, D), "v": w(D, D), "o": w(D, D)},
        "g2": 1.0 + 0.5 * w(D),
        "mlp": {"up": w(D, F), "bu": w(F), "down": w(F, D), "bd": w(D)},
        "head": w(D),
    }
    x = jnp.asarray(rng.normal(size=(B, T, D)))
    y = jnp.asarray(rng.integers(0, 2, size=B) * 1.0)
    return params, (x, y)


def rms_norm(x, g):
    ms = jnp.mean(x ** 2, axis=-1, keepdims=True)
    r = jax.lax.rsqrt(ms + EPS)
    unit = x * r
    return unit * g


def gelu(u):
    cubic = u + C1 * u ** 3
    th = jnp.tanh(C0 * cubic)
    return 0.5 * u * (1.0 + th)


def attention(a, w):
    T, D = a.shape[1:]
    q = a @ w["q"]
    k = a @ w["k"]
    v = a @ w["v"]
    s = jnp.einsum("btd,bsd->bts", q, k) / np.sqrt(D)
    s = jnp.where(jnp.tril(jnp.ones((T, T))) > 0, s, -jnp.inf)
    prob = jax.nn.softmax(s, axis=-1)
    ctx = jnp.einsum("bts,bsd->btd", prob, v)
    return ctx @ w["o"]


def loss(params, x, y):
    a = rms_norm(x, params["g1"])
    att = attention(a, params["attn"])
    x1 = x + att
    m = rms_norm(x1, params["g2"])
    up = m @ params["mlp"]["up"] + params["mlp"]["bu"]
    act = gelu(up)
    down = act @ params["mlp"]["down"] + params["mlp"]["bd"]
    x2 = x1 + down
    pooled = jnp.mean(x2, axis=1)
    logit = pooled @ params["head"]
    per = jax.nn.softplus(logit) - y * logit
    return jnp.mean(per)


# ---- by hand


def rms_fwd(x, g):
    inv = 1.0 / jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + EPS)
    return x * inv * g, inv


def rms_bwd(dy, x, g, inv):
    D = x.shape[-1]
    dg = jnp.sum(dy * (x * inv), axis=(0, 1))
    du = dy * g
    dot = jnp.sum(du * x, axis=-1, keepdims=True)
    dx = du * inv - x * dot * inv ** 3 / D
    return dx, dg


def gelu_bwd(dy, u):
    inner = C0 * (u + C1 * u * u * u)
    t = jnp.tanh(inner)
    sech2 = 1.0 - t * t
    dinner = C0 * (1.0 + 3.0 * C1 * u * u)
    left = 0.5 * (1.0 + t)
    right = 0.5 * u * sech2 * dinner
    return dy * (left + right)


def attn_fwd(a, w):
    T, D = a.shape[1], a.shape[2]
    Q, K, V = a @ w["q"], a @ w["k"], a @ w["v"]
    S = (Q @ K.transpose(0, 2, 1)) * D ** -0.5
    S = S + jnp.triu(jnp.full((T, T), -1e30), k=1)
    P = jax.nn.softmax(S, axis=-1)
    C = P @ V
    return C @ w["o"], (a, Q, K, V, P, C)


def attn_bwd(dout, w, cache):
    a, Q, K, V, P, C = cache
    D = a.shape[-1]
    go = jnp.einsum("btd,bte->de", C, dout)
    dC = dout @ w["o"].T
    dV = P.transpose(0, 2, 1) @ dC
    dP = dC @ V.transpose(0, 2, 1)
    dS = P * (dP - (dP * P).sum(-1, keepdims=True))
    dS = dS * D ** -0.5
    dQ = dS @ K
    dK = dS.transpose(0, 2, 1) @ Q
    gq = jnp.einsum("btd,bte->de", a, dQ)
    gk = jnp.einsum("btd,bte->de", a, dK)
    gv = jnp.einsum("btd,bte->de", a, dV)
    da = dQ @ w["q"].T
    da = da + dK @ w["k"].T
    da = da + dV @ w["v"].T
    return da, {"q": gq, "k": gk, "v": gv, "o": go}


def gradient(params, x, y):
    mlp = params["mlp"]
    B, T, D = x.shape
    n1, inv1 = rms_fwd(x, params["g1"])
    att, cache = attn_fwd(n1, params["attn"])
    r1 = x + att
    n2, inv2 = rms_fwd(r1, params["g2"])
    u = n2 @ mlp["up"] + mlp["bu"]
    h = 0.5 * u * (1.0 + jnp.tanh(C0 * (u + C1 * u ** 3)))
    r2 = r1 + h @ mlp["down"] + mlp["bd"]
    pool = r2.mean(axis=1)
    z = pool @ params["head"]
    dz = (jax.nn.sigmoid(z) - y) / B
    dhead = pool.T @ dz
    dpool = dz[:, None] * params["head"][None, :]
    dr2 = jnp.repeat(dpool[:, None, :], T, axis=1) / T
    # MLP branch
    ddown = jnp.einsum("btf,btd->fd", h, dr2)
    dbd = dr2.sum((0, 1))
    dh = dr2 @ mlp["down"].T
    du = gelu_bwd(dh, u)
    dup = jnp.einsum("btd,btf->df", n2, du)
    dbu = du.sum((0, 1))
    dn2 = du @ mlp["up"].T
    dr1, dg2 = rms_bwd(dn2, r1, params["g2"], inv2)
    dr1 = dr1 + dr2
    # attention branch
    dn1, dattn = attn_bwd(dr1, params["attn"], cache)
    dx, dg1 = rms_bwd(dn1, x, params["g1"], inv1)
    return {
        "g1": dg1,
        "attn": dattn,
        "g2": dg2,
        "mlp": {"up": dup, "bu": dbu, "down": ddown, "bd": dbd},
        "head": dhead,
    }


BUGS = [
    Bug("residual_forgotten", "    dr1 = dr1 + dr2\n", "", ("x2 = x1 + down",), "the residual path round the MLP forgotten"),
    Bug("residual_only", "    dr1 = dr1 + dr2\n", "    dr1 = dr2\n",
        ("x2 = x1 + down", "m = rms_norm(x1, params[\"g2\"])", "x1 = x + att"), "residual overwrote the branch's gradient"),
    Bug("residual_twice", "    dr1 = dr1 + dr2\n", "    dr1 = dr1 + 2 * dr2\n", ("x2 = x1 + down",), "residual gradient added twice"),
    Bug("rms_no_correction", "dx = du * inv - x * dot * inv ** 3 / D", "dx = du * inv",
        ("ms = jnp.mean(x ** 2, axis=-1, keepdims=True)", "r = jax.lax.rsqrt(ms + EPS)"), "rms treated as a constant"),
    Bug("rms_no_D", "x * dot * inv ** 3 / D", "x * dot * inv ** 3",
        ("ms = jnp.mean(x ** 2, axis=-1, keepdims=True)",), "1/D of the mean forgotten"),
    Bug("rms_power", "x * dot * inv ** 3 / D", "x * dot * inv ** 2 / D",
        ("r = jax.lax.rsqrt(ms + EPS)",), "r squared instead of r cubed"),
    Bug("rms_sign", "dx = du * inv - x * dot", "dx = du * inv + x * dot",
        ("r = jax.lax.rsqrt(ms + EPS)",), "sign of the rsqrt's derivative"),
    Bug("rms_half", "x * dot * inv ** 3 / D", "0.5 * x * dot * inv ** 3 / D",
        ("r = jax.lax.rsqrt(ms + EPS)", "ms = jnp.mean(x ** 2, axis=-1, keepdims=True)"), "1/2 of the root not cancelled by the square's 2"),
    Bug("rms_dot_without_gain", "dot = jnp.sum(du * x, axis=-1, keepdims=True)", "dot = jnp.sum(dy * x, axis=-1, keepdims=True)",
        ("return unit * g",), "gain left out of the correction term only"),
    Bug("rms_dg_raw", "dg = jnp.sum(dy * (x * inv), axis=(0, 1))", "dg = jnp.sum(dy * x, axis=(0, 1))",
        ("return unit * g",), "gain's gradient with the unnormalised input"),
    Bug("rms_eps_outside", "1.0 / jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + EPS)",
        "1.0 / (jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True)) + EPS)",
        ("r = jax.lax.rsqrt(ms + EPS)",), "epsilon outside the root"),
    Bug("rms_as_l2_norm", "1.0 / jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + EPS)",
        "1.0 / jnp.sqrt(jnp.sum(jnp.square(x), -1, keepdims=True) + EPS)",
        ("ms = jnp.mean(x ** 2, axis=-1, keepdims=True)",), "L2 norm for root mean square"),
    Bug("rms_wrong_input", "rms_bwd(dn2, r1, params[\"g2\"], inv2)", "rms_bwd(dn2, x, params[\"g2\"], inv2)",
        ("m = rms_norm(x1, params[\"g2\"])", "unit = x * r", "ms = jnp.mean(x ** 2, axis=-1, keepdims=True)"), "the block's input instead of the residual stream"),
    Bug("rms_stale_inverse", "rms_bwd(dn2, r1, params[\"g2\"], inv2)", "rms_bwd(dn2, r1, params[\"g2\"], inv1)",
        ("m = rms_norm(x1, params[\"g2\"])", "unit = x * r", "r = jax.lax.rsqrt(ms + EPS)"), "the first norm's inverse rms"),
    Bug("gelu_left_only", "return dy * (left + right)", "return dy * left",
        ("return 0.5 * u * (1.0 + th)", "th = jnp.tanh(C0 * cubic)"), "product rule: the tanh's term forgotten"),
    Bug("gelu_three_missing", "dinner = C0 * (1.0 + 3.0 * C1 * u * u)", "dinner = C0 * (1.0 + C1 * u * u)",
        ("cubic = u + C1 * u ** 3",), "3 of the cube's derivative forgotten"),
    Bug("gelu_c0_missing", "dinner = C0 * (1.0 + 3.0 * C1 * u * u)", "dinner = 1.0 + 3.0 * C1 * u * u",
        ("th = jnp.tanh(C0 * cubic)",), "sqrt(2/pi) forgotten in the inner derivative"),
    Bug("gelu_tanh_not_squared", "sech2 = 1.0 - t * t", "sech2 = 1.0 - t", ("th = jnp.tanh(C0 * cubic)",), "1 - t for 1 - t^2"),
    Bug("gelu_other_approximation", "    inner = C0 * (u + C1 * u * u * u)\n    t = jnp.tanh(inner)\n    sech2 = 1.0 - t * t\n    dinner = C0 * (1.0 + 3.0 * C1 * u * u)\n    left = 0.5 * (1.0 + t)\n    right = 0.5 * u * sech2 * dinner\n    return dy * (left + right)\n",
        "    s = jax.nn.sigmoid(1.702 * u)\n    return dy * (s + 1.702 * u * s * (1.0 - s))\n",
        ("return 0.5 * u * (1.0 + th)", "th = jnp.tanh(C0 * cubic)", "act = gelu(up)"), "backward of the sigmoid approximation of GELU"),
    Bug("gelu_exact_backward", "    inner = C0 * (u + C1 * u * u * u)\n    t = jnp.tanh(inner)\n    sech2 = 1.0 - t * t\n    dinner = C0 * (1.0 + 3.0 * C1 * u * u)\n    left = 0.5 * (1.0 + t)\n    right = 0.5 * u * sech2 * dinner\n    return dy * (left + right)\n",
        "    cdf = 0.5 * (1.0 + jax.scipy.special.erf(u / np.sqrt(2.0)))\n    pdf = jnp.exp(-0.5 * u * u) / np.sqrt(2.0 * np.pi)\n    return dy * (cdf + u * pdf)\n",
        ("return 0.5 * u * (1.0 + th)", "th = jnp.tanh(C0 * cubic)", "act = gelu(up)"), "exact GELU's derivative for the tanh approximation"),
    Bug("gelu_at_output", "du = gelu_bwd(dh, u)", "du = gelu_bwd(dh, h)", ("act = gelu(up)", "return 0.5 * u * (1.0 + th)"), "derivative taken at the activation, not its input"),
    Bug("attention_scale_missing", "    dS = dS * D ** -0.5\n", "", ("s = jnp.einsum(\"btd,bsd->bts\", q, k) / np.sqrt(D)",), "scale forgotten in attention's backward"),
    Bug("attention_softmax_diagonal", "dS = P * (dP - (dP * P).sum(-1, keepdims=True))", "dS = P * (1.0 - P) * dP",
        ("prob = jax.nn.softmax(s, axis=-1)",), "softmax's diagonal only"),
    Bug("attention_value_path", "    da = da + dV @ w[\"v\"].T\n", "", ("v = a @ w[\"v\"]",), "the values' path into the input forgotten"),
    Bug("attention_key_path", "    da = da + dK @ w[\"k\"].T\n", "    da = dK @ w[\"k\"].T\n", ("q = a @ w[\"q\"]",), "= for +=: the queries' path overwritten"),
    Bug("attention_value_transpose", "dV = P.transpose(0, 2, 1) @ dC", "dV = P @ dC", ("ctx = jnp.einsum(\"bts,bsd->btd\", prob, v)",), "P not transposed for dV"),
    Bug("pool_not_divided", "jnp.repeat(dpool[:, None, :], T, axis=1) / T", "jnp.repeat(dpool[:, None, :], T, axis=1)",
        ("pooled = jnp.mean(x2, axis=1)",), "1/T of the mean pooling forgotten"),
    Bug("pool_last_only", "dr2 = jnp.repeat(dpool[:, None, :], T, axis=1) / T", "dr2 = jnp.zeros_like(r2).at[:, -1].set(dpool)",
        ("pooled = jnp.mean(x2, axis=1)",), "gradient sent to the last token only"),
    Bug("pair_gelu_and_residual", "    dn2 = du @ mlp[\"up\"].T\n    dr1, dg2 = rms_bwd(dn2, r1, params[\"g2\"], inv2)\n    dr1 = dr1 + dr2\n",
        "    dn2 = dh @ mlp[\"up\"].T\n    dr1, dg2 = rms_bwd(dn2, r1, params[\"g2\"], inv2)\n",
        ("act = gelu(up)", "up = m @ params[\"mlp\"][\"up\"] + params[\"mlp\"][\"bu\"]", "x2 = x1 + down"), "two mistakes: GELU skipped on the way back, residual forgotten"),
]
