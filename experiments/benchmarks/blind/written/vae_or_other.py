"""Gaussian VAE: gated-unit encoder, weight-normalised mean, clipped log-variance,
reparametrisation, Bernoulli decoder, KL with a free factor, plus a swish gate."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
BETA = 0.8


def make():
    rng = np.random.default_rng(12)
    B, d, H, Z = 6, 6, 5, 3

    def w(*shape):
        return jnp.asarray(rng.normal(size=shape) * 0.6)

    params = {
        "enc": {"A": w(d, H), "a": w(H), "G": w(d, H), "g": w(H)},
        "mean": {"V": w(H, Z), "s": 1.0 + 0.5 * w(Z), "b": w(Z)},
        "logvar": {"W": w(H, Z), "b": w(Z)},
        "dec": {"W1": w(Z, H), "b1": w(H), "W2": w(H, d), "b2": w(d)},
    }
    x = jnp.asarray((rng.random(size=(B, d)) < 0.5) * 1.0)
    eps = jnp.asarray(rng.normal(size=(B, Z)))
    return params, (x, eps)


def encode(p, x):
    lin = x @ p["A"] + p["a"]
    gate_in = x @ p["G"] + p["g"]
    gate = jax.nn.sigmoid(gate_in)
    return lin * gate


def mean_layer(p, h):
    norm = jnp.sqrt(jnp.sum(p["V"] ** 2, axis=0))
    direction = p["V"] / norm
    W = direction * p["s"]
    return h @ W + p["b"]


def decode(p, z):
    u = z @ p["W1"] + p["b1"]
    sw = u * jax.nn.sigmoid(u)
    return sw @ p["W2"] + p["b2"]


def loss(params, x, eps):
    h = encode(params["enc"], x)
    mu = mean_layer(params["mean"], h)
    logvar = h @ params["logvar"]["W"] + params["logvar"]["b"]
    half = 0.5 * logvar
    sigma = jnp.exp(half)
    noise = sigma * eps
    z = mu + noise
    logits = decode(params["dec"], z)
    bce = jnp.logaddexp(0.0, logits) - x * logits
    rec = jnp.mean(jnp.sum(bce, axis=1))
    var = jnp.exp(logvar)
    inner = 1.0 + logvar - mu ** 2 - var
    kl = -0.5 * jnp.mean(jnp.sum(inner, axis=1))
    return rec + BETA * kl


def gradient(params, x, eps):
    e, m, lv, d = params["enc"], params["mean"], params["logvar"], params["dec"]
    N = x.shape[0]
    # encoder
    l = x @ e["A"] + e["a"]
    s = 1.0 / (1.0 + jnp.exp(-(x @ e["G"] + e["g"])))
    h = l * s
    nrm = jnp.linalg.norm(m["V"], axis=0)
    unit = m["V"] / nrm
    mu = h @ (unit * m["s"]) + m["b"]
    logvar = h @ lv["W"] + lv["b"]
    std = jnp.exp(logvar / 2)
    z = mu + std * eps
    # decoder
    u = z @ d["W1"] + d["b1"]
    sig = jax.nn.sigmoid(u)
    act = u * sig
    logits = act @ d["W2"] + d["b2"]
    # backward through the decoder
    dlogits = (jax.nn.sigmoid(logits) - x) / N
    dW2 = act.T @ dlogits
    db2 = dlogits.sum(axis=0)
    dact = dlogits @ d["W2"].T
    du = dact * (sig + u * sig * (1.0 - sig))
    dW1 = z.T @ du
    db1 = du.sum(axis=0)
    dz = du @ d["W1"].T
    # latent
    dmu = dz
    dmu = dmu + BETA * mu / N
    dstd = dz * eps
    dlogvar = dstd * std * 0.5
    dlogvar = dlogvar + BETA * 0.5 * (jnp.exp(logvar) - 1.0) / N
    # log-variance layer
    dWlv = h.T @ dlogvar
    dblv = dlogvar.sum(axis=0)
    dh = dlogvar @ lv["W"].T
    # weight-normalised layer
    dWm = h.T @ dmu
    dbm = dmu.sum(axis=0)
    dh = dh + dmu @ (unit * m["s"]).T
    ds = jnp.sum(dWm * unit, axis=0)
    dunit = dWm * m["s"]
    proj = jnp.sum(dunit * unit, axis=0)
    dV = (dunit - unit * proj) / nrm
    # gated unit
    dl = dh * s
    dgate = dh * l
    dpre = dgate * s * (1.0 - s)
    dA = x.T @ dl
    da = dl.sum(axis=0)
    dG = x.T @ dpre
    dg = dpre.sum(axis=0)
    return {
        "enc": {"A": dA, "a": da, "G": dG, "g": dg},
        "mean": {"V": dV, "s": ds, "b": dbm},
        "logvar": {"W": dWlv, "b": dblv},
        "dec": {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2},
    }


SIGMA, HALF, NOISE = "sigma = jnp.exp(half)", "half = 0.5 * logvar", "noise = sigma * eps"
ZL = "z = mu + noise"
INNER = "inner = 1.0 + logvar - mu ** 2 - var"
VAR = "var = jnp.exp(logvar)"
KL = "kl = -0.5 * jnp.mean(jnp.sum(inner, axis=1))"
TOTAL = "return rec + BETA * kl"
BCE = "bce = jnp.logaddexp(0.0, logits) - x * logits"
REC = "rec = jnp.mean(jnp.sum(bce, axis=1))"
SW = "sw = u * jax.nn.sigmoid(u)"
NORM = "norm = jnp.sqrt(jnp.sum(p[\"V\"] ** 2, axis=0))"
DIRECTION = "direction = p[\"V\"] / norm"
WEIGHT = "W = direction * p[\"s\"]"
GLU = "return lin * gate"
GATE = "gate = jax.nn.sigmoid(gate_in)"
LOGVAR = "logvar = h @ params[\"logvar\"][\"W\"] + params[\"logvar\"][\"b\"]"
MEAN = "return h @ W + p[\"b\"]"

BUGS = [
    Bug("half_forgotten", "dlogvar = dstd * std * 0.5", "dlogvar = dstd * std", (HALF,), "1/2 of exp(logvar/2) forgotten"),
    Bug("std_forgotten", "dlogvar = dstd * std * 0.5", "dlogvar = dstd * 0.5", (SIGMA,), "exp's own derivative forgotten"),
    Bug("variance_for_std", "dlogvar = dstd * std * 0.5", "dlogvar = dstd * jnp.exp(logvar) * 0.5", (SIGMA,), "variance where the standard deviation belongs"),
    Bug("noise_forgotten", "dstd = dz * eps", "dstd = dz", (NOISE,), "the noise factor forgotten in the reparametrisation"),
    Bug("noise_detached", "dlogvar = dstd * std * 0.5", "dlogvar = jnp.zeros_like(logvar)", (NOISE, ZL, SIGMA, HALF), "sample treated as independent of the variance"),
    Bug("sample_detached_from_mean", "    dmu = dz\n    dmu = dmu + BETA * mu / N\n", "    dmu = BETA * mu / N\n", (ZL,), "the reconstruction's path to the mean dropped"),
    Bug("forward_std_is_variance", "std = jnp.exp(logvar / 2)", "std = jnp.exp(logvar)", (HALF, SIGMA), "exp(logvar) used as standard deviation"),
    Bug("kl_mean_factor", "dmu = dmu + BETA * mu / N", "dmu = dmu + BETA * 2.0 * mu / N", (INNER, KL), "2 mu: the KL's 1/2 forgotten"),
    Bug("kl_mean_missing", "    dmu = dmu + BETA * mu / N\n", "", (INNER,), "KL's gradient of the mean forgotten"),
    Bug("kl_sign", "BETA * 0.5 * (jnp.exp(logvar) - 1.0) / N", "BETA * 0.5 * (1.0 - jnp.exp(logvar)) / N", (INNER, KL), "sign of the KL's variance term"),
    Bug("kl_one_forgotten", "BETA * 0.5 * (jnp.exp(logvar) - 1.0) / N", "BETA * 0.5 * jnp.exp(logvar) / N", (INNER,), "the -1 from +logvar forgotten"),
    Bug("kl_std_for_var", "0.5 * (jnp.exp(logvar) - 1.0)", "0.5 * (std - 1.0)", (VAR,), "standard deviation in place of the variance"),
    Bug("kl_no_exp", "0.5 * (jnp.exp(logvar) - 1.0)", "0.5 * (logvar - 1.0)", (VAR,), "exp's derivative written as its argument"),
    Bug("kl_half_missing", "BETA * 0.5 * (jnp.exp(logvar) - 1.0) / N", "BETA * (jnp.exp(logvar) - 1.0) / N", (KL,), "1/2 forgotten for the log-variance"),
    Bug("beta_missing", "dmu = dmu + BETA * mu / N", "dmu = dmu + mu / N", (TOTAL, INNER), "beta forgotten for the mean"),
    Bug("kl_mean_over_all", "(jnp.exp(logvar) - 1.0) / N", "(jnp.exp(logvar) - 1.0) / logvar.size", (KL,), "KL averaged over the latents too"),
    Bug("rec_mean_over_pixels", "dlogits = (jax.nn.sigmoid(logits) - x) / N", "dlogits = (jax.nn.sigmoid(logits) - x) / x.size", (REC,), "mean over the pixels, the loss sums"),
    Bug("bce_double_sigmoid", "dlogits = (jax.nn.sigmoid(logits) - x) / N", "dlogits = (jax.nn.sigmoid(jax.nn.sigmoid(logits)) - x) / N", (BCE,), "sigmoid applied twice"),
    Bug("bce_extra_derivative", "dlogits = (jax.nn.sigmoid(logits) - x) / N",
        "dlogits = (jax.nn.sigmoid(logits) - x) * jax.nn.sigmoid(logits) * (1.0 - jax.nn.sigmoid(logits)) / N", (BCE,), "sigmoid' on top of the fused form"),
    Bug("swish_as_gate", "du = dact * (sig + u * sig * (1.0 - sig))", "du = dact * sig", (SW,), "product rule: sigmoid's own derivative dropped"),
    Bug("swish_no_u", "du = dact * (sig + u * sig * (1.0 - sig))", "du = dact * (sig + sig * (1.0 - sig))", (SW,), "factor u forgotten"),
    Bug("swish_bracket", "du = dact * (sig + u * sig * (1.0 - sig))", "du = dact * ((sig + u * sig) * (1.0 - sig))", (SW,), "wrong bracket"),
    Bug("swish_with_output", "du = dact * (sig + u * sig * (1.0 - sig))", "du = dact * (act + sig * (1.0 - sig))", (SW,), "misremembered identity: f + s(1 - s) for f + s(1 - f)"),
    Bug("decoder_input_mean", "dW1 = z.T @ du", "dW1 = mu.T @ du", ("u = z @ p[\"W1\"] + p[\"b1\"]",), "mean instead of the sample"),
    Bug("weightnorm_no_projection", "dV = (dunit - unit * proj) / nrm", "dV = dunit / nrm", (NORM,), "norm treated as a constant"),
    Bug("weightnorm_no_division", "dV = (dunit - unit * proj) / nrm", "dV = dunit - unit * proj", (DIRECTION,), "division by the norm forgotten"),
    Bug("weightnorm_projection_raw", "dV = (dunit - unit * proj) / nrm", "dV = (dunit - m[\"V\"] * proj) / nrm", (NORM, DIRECTION), "V for V/|V| in the projection"),
    Bug("weightnorm_axis", "proj = jnp.sum(dunit * unit, axis=0)", "proj = jnp.sum(dunit * unit)", (NORM,), "one projection for all columns"),
    Bug("weightnorm_scale_forgotten", "dunit = dWm * m[\"s\"]", "dunit = dWm", (WEIGHT,), "scale forgotten in V's gradient"),
    Bug("weightnorm_scale_raw", "ds = jnp.sum(dWm * unit, axis=0)", "ds = jnp.sum(dWm * m[\"V\"], axis=0)", (WEIGHT,), "scale's gradient with the unnormalised V"),
    Bug("weightnorm_back_with_v", "dh = dh + dmu @ (unit * m[\"s\"]).T", "dh = dh + dmu @ m[\"V\"].T", (MEAN, WEIGHT), "V for the effective weight"),
    Bug("weightnorm_rows", "nrm = jnp.linalg.norm(m[\"V\"], axis=0)", "nrm = jnp.linalg.norm(m[\"V\"])", (NORM,), "one norm for the whole matrix"),
    Bug("head_overwrites", "dh = dh + dmu @ (unit * m[\"s\"]).T", "dh = dmu @ (unit * m[\"s\"]).T", (LOGVAR,), "= for +=: the log-variance's path to the encoder lost"),
    Bug("gate_factors_swapped", "    dl = dh * s\n    dgate = dh * l\n", "    dl = dh * l\n    dgate = dh * s\n", (GLU,), "product rule's factors swapped"),
    Bug("gate_output_for_linear", "dgate = dh * l\n", "dgate = dh * h\n", (GLU,), "gated output instead of the linear part"),
    Bug("gate_sigmoid_missing", "dpre = dgate * s * (1.0 - s)", "dpre = dgate", (GATE,), "sigmoid' forgotten"),
    Bug("gate_constant", "dgate = dh * l\n", "dgate = jnp.zeros_like(dh)\n", (GLU, GATE), "gate detached"),
    Bug("pair_weightnorm_and_gate", "    dunit = dWm * m[\"s\"]\n    proj = jnp.sum(dunit * unit, axis=0)\n    dV = (dunit - unit * proj) / nrm\n    # gated unit\n    dl = dh * s\n",
        "    dunit = dWm\n    proj = jnp.sum(dunit * unit, axis=0)\n    dV = (dunit - unit * proj) / nrm\n    # gated unit\n    dl = dh\n",
        (WEIGHT, GLU), "two mistakes: scale forgotten in V's gradient, gate not applied to the linear part"),
    Bug("pair_swish_and_half", "    du = dact * (sig + u * sig * (1.0 - sig))\n    dW1 = z.T @ du\n    db1 = du.sum(axis=0)\n    dz = du @ d[\"W1\"].T\n    # latent\n    dmu = dz\n    dmu = dmu + BETA * mu / N\n    dstd = dz * eps\n    dlogvar = dstd * std * 0.5\n",
        "    du = dact * (sig + u * sig)\n    dW1 = z.T @ du\n    db1 = du.sum(axis=0)\n    dz = du @ d[\"W1\"].T\n    # latent\n    dmu = dz\n    dmu = dmu + BETA * mu / N\n    dstd = dz * eps\n    dlogvar = dstd * std\n",
        (SW, HALF), "two mistakes: swish without (1 - s), 1/2 of the half log-variance forgotten"),
]
