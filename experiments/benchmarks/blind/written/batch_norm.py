"""Linear, batch normalisation (training mode), leaky ReLU, linear, softmax cross-entropy,
with the backward of the batch norm in its small steps, as in the well-known blog posts."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
EPS = 1e-3
SLOPE = 0.1


def make():
    rng = np.random.default_rng(4)
    d, H, K, N = 5, 6, 4, 8
    params = {
        "W1": jnp.asarray(rng.normal(size=(d, H)) * 0.5),
        "gamma": jnp.asarray(1.0 + 0.3 * rng.normal(size=H)),
        "beta": jnp.asarray(rng.normal(size=H) * 0.3),
        "W2": jnp.asarray(rng.normal(size=(H, K)) * 0.5),
        "b2": jnp.asarray(rng.normal(size=K) * 0.2),
    }
    x = jnp.asarray(rng.normal(size=(N, d)))
    y = jnp.asarray(rng.integers(0, K, size=N))
    return params, (x, y)


def loss(params, x, y):
    N = x.shape[0]
    z = x @ params["W1"]
    mu = jnp.mean(z, axis=0)
    centred = z - mu
    sq = centred ** 2
    var = jnp.mean(sq, axis=0)
    std = jnp.sqrt(var + EPS)
    inv = 1.0 / std
    zhat = centred * inv
    scaled = zhat * params["gamma"]
    out = scaled + params["beta"]
    h = jnp.where(out > 0, out, SLOPE * out)
    logits = h @ params["W2"] + params["b2"]
    logp = jax.nn.log_softmax(logits, axis=1)
    picked = logp[jnp.arange(N), y]
    return -jnp.mean(picked)


# ---- by hand


def bn_forward(v, gamma, beta):
    m = v.mean(axis=0)
    xmu = v - m
    s2 = (xmu * xmu).mean(axis=0)
    sqrtvar = jnp.sqrt(s2 + EPS)
    ivar = 1.0 / sqrtvar
    vhat = xmu * ivar
    return gamma * vhat + beta, (vhat, xmu, ivar, sqrtvar, s2)


def bn_backward(dout, gamma, cache):
    vhat, xmu, ivar, sqrtvar, s2 = cache
    n, _ = dout.shape
    # step 9
    dbeta = jnp.sum(dout, axis=0)
    # step 8
    dgamma = jnp.sum(dout * vhat, axis=0)
    dvhat = dout * gamma
    # step 7
    divar = jnp.sum(dvhat * xmu, axis=0)
    dxmu1 = dvhat * ivar
    # step 6
    dsqrtvar = -divar / sqrtvar ** 2
    # step 5
    dvar = 0.5 * dsqrtvar / jnp.sqrt(s2 + EPS)
    # step 4
    dsq = dvar * jnp.ones_like(dout) / n
    # step 3
    dxmu2 = 2.0 * xmu * dsq
    # step 2
    dv1 = dxmu1 + dxmu2
    dmu = -jnp.sum(dv1, axis=0)
    # step 1
    dv2 = dmu * jnp.ones_like(dout) / n
    return dv1 + dv2, dgamma, dbeta


def gradient(params, x, y):
    N = x.shape[0]
    pre = x @ params["W1"]
    bn, cache = bn_forward(pre, params["gamma"], params["beta"])
    act = jax.nn.leaky_relu(bn, SLOPE)
    probs = jax.nn.softmax(act @ params["W2"] + params["b2"])
    delta = (probs - jax.nn.one_hot(y, probs.shape[1])) / N
    dW2 = act.T @ delta
    db2 = delta.sum(axis=0)
    dact = delta @ params["W2"].T
    dbn = dact * jnp.where(bn > 0, 1.0, SLOPE)
    dpre, dgamma, dbeta = bn_backward(dbn, params["gamma"], cache)
    dW1 = x.T @ dpre
    return {"W1": dW1, "gamma": dgamma, "beta": dbeta, "W2": dW2, "b2": db2}


BUGS = [
    Bug("eval_mode", "return dv1 + dv2, dgamma, dbeta", "return dxmu1, dgamma, dbeta",
        ("mu = jnp.mean(z, axis=0)", "centred = z - mu", "sq = centred ** 2", "var = jnp.mean(sq, axis=0)"), "batch statistics treated as constants (eval-mode backward)"),
    Bug("mean_path_dropped", "return dv1 + dv2, dgamma, dbeta", "return dv1, dgamma, dbeta",
        ("mu = jnp.mean(z, axis=0)", "centred = z - mu"), "gradient through the batch mean dropped"),
    Bug("variance_path_dropped", "dv1 = dxmu1 + dxmu2", "dv1 = dxmu1",
        ("sq = centred ** 2", "var = jnp.mean(sq, axis=0)"), "gradient through the variance dropped"),
    Bug("inverse_sign", "dsqrtvar = -divar / sqrtvar ** 2", "dsqrtvar = divar / sqrtvar ** 2",
        ("inv = 1.0 / std",), "minus sign of the derivative of 1/x lost"),
    Bug("inverse_not_squared", "dsqrtvar = -divar / sqrtvar ** 2", "dsqrtvar = -divar / sqrtvar",
        ("inv = 1.0 / std",), "derivative of 1/x written as -1/x"),
    Bug("inverse_of_variance", "dsqrtvar = -divar / sqrtvar ** 2", "dsqrtvar = -divar / s2 ** 2",
        ("inv = 1.0 / std",), "variance where the standard deviation belongs"),
    Bug("root_half_missing", "dvar = 0.5 * dsqrtvar / jnp.sqrt(s2 + EPS)", "dvar = dsqrtvar / jnp.sqrt(s2 + EPS)",
        ("std = jnp.sqrt(var + EPS)",), "1/2 of the square root's derivative forgotten"),
    Bug("root_not_inverted", "dvar = 0.5 * dsqrtvar / jnp.sqrt(s2 + EPS)", "dvar = 0.5 * dsqrtvar * jnp.sqrt(s2 + EPS)",
        ("std = jnp.sqrt(var + EPS)",), "1/(2 sqrt) written as sqrt/2"),
    Bug("root_eps_missing", "dvar = 0.5 * dsqrtvar / jnp.sqrt(s2 + EPS)", "dvar = 0.5 * dsqrtvar / jnp.sqrt(s2)",
        ("std = jnp.sqrt(var + EPS)",), "epsilon left out in the root's derivative"),
    Bug("mean_of_squares_no_n", "dsq = dvar * jnp.ones_like(dout) / n", "dsq = dvar * jnp.ones_like(dout)",
        ("var = jnp.mean(sq, axis=0)",), "1/N of the variance's mean forgotten"),
    Bug("square_factor", "dxmu2 = 2.0 * xmu * dsq", "dxmu2 = xmu * dsq",
        ("sq = centred ** 2",), "2 of the square forgotten"),
    Bug("square_with_normalised", "dxmu2 = 2.0 * xmu * dsq", "dxmu2 = 2.0 * vhat * dsq",
        ("sq = centred ** 2", "zhat = centred * inv"), "normalised value in place of the centred one"),
    Bug("mean_sign", "dmu = -jnp.sum(dv1, axis=0)", "dmu = jnp.sum(dv1, axis=0)",
        ("centred = z - mu",), "minus sign of x - mu lost"),
    Bug("mean_no_n", "dv2 = dmu * jnp.ones_like(dout) / n", "dv2 = dmu * jnp.ones_like(dout)",
        ("mu = jnp.mean(z, axis=0)",), "1/N of the mean forgotten"),
    Bug("divided_by_features", "n, _ = dout.shape", "_, n = dout.shape",
        ("mu = jnp.mean(z, axis=0)", "var = jnp.mean(sq, axis=0)"), "shape unpacked the wrong way: features for batch"),
    Bug("ivar_not_summed_well", "divar = jnp.sum(dvhat * xmu, axis=0)", "divar = jnp.mean(dvhat * xmu, axis=0)",
        ("zhat = centred * inv",), "mean for sum when un-broadcasting the inverse std"),
    Bug("direct_path_no_ivar", "dxmu1 = dvhat * ivar", "dxmu1 = dvhat",
        ("zhat = centred * inv",), "inverse std forgotten on the direct path"),
    Bug("gamma_forgotten", "dvhat = dout * gamma", "dvhat = dout",
        ("scaled = zhat * params[\"gamma\"]",), "gamma left out of dx"),
    Bug("dgamma_of_output", "dgamma = jnp.sum(dout * vhat, axis=0)", "dgamma = jnp.sum(dout * (gamma * vhat), axis=0)",
        ("scaled = zhat * params[\"gamma\"]",), "dgamma multiplied by gamma as well"),
    Bug("dgamma_uncentred", "dgamma = jnp.sum(dout * vhat, axis=0)", "dgamma = jnp.sum(dout * xmu, axis=0)",
        ("scaled = zhat * params[\"gamma\"]",), "dgamma with the unscaled value"),
    Bug("dbeta_of_dvhat", "dbeta = jnp.sum(dout, axis=0)", "dbeta = jnp.sum(dout * gamma, axis=0)",
        ("out = scaled + params[\"beta\"]",), "dbeta multiplied by gamma"),
    Bug("unbiased_forward", "s2 = (xmu * xmu).mean(axis=0)", "s2 = (xmu * xmu).sum(axis=0) / (v.shape[0] - 1)",
        ("var = jnp.mean(sq, axis=0)",), "unbiased variance recomputed in the backward"),
    Bug("leaky_slope_zero", "dbn = dact * jnp.where(bn > 0, 1.0, SLOPE)", "dbn = dact * (bn > 0)",
        ("h = jnp.where(out > 0, out, SLOPE * out)",), "plain ReLU's derivative for a leaky one"),
    Bug("leaky_mask_before_bn", "jnp.where(bn > 0, 1.0, SLOPE)", "jnp.where(pre > 0, 1.0, SLOPE)",
        ("h = jnp.where(out > 0, out, SLOPE * out)",), "mask of the value before the batch norm"),
    Bug("leaky_reversed", "jnp.where(bn > 0, 1.0, SLOPE)", "jnp.where(bn > 0, SLOPE, 1.0)",
        ("h = jnp.where(out > 0, out, SLOPE * out)",), "branches of the leaky ReLU swapped"),
    Bug("pair_activation_and_gamma", "    dact = delta @ params[\"W2\"].T\n    dbn = dact * jnp.where(bn > 0, 1.0, SLOPE)\n    dpre, dgamma, dbeta = bn_backward(dbn, params[\"gamma\"], cache)\n",
        "    dact = delta @ params[\"W2\"].T\n    dbn = dact\n    dpre, dgamma, dbeta = bn_backward(dbn, params[\"gamma\"], cache)\n    dgamma = dgamma / params[\"gamma\"]\n",
        ("h = jnp.where(out > 0, out, SLOPE * out)", "scaled = zhat * params[\"gamma\"]"),
        "two mistakes: no activation derivative, dgamma divided by gamma"),
    Bug("pair_square_and_mean", "    dxmu2 = 2.0 * xmu * dsq\n    # step 2\n    dv1 = dxmu1 + dxmu2\n    dmu = -jnp.sum(dv1, axis=0)\n",
        "    dxmu2 = xmu * dsq\n    # step 2\n    dv1 = dxmu1 + dxmu2\n    dmu = -jnp.sum(dxmu2, axis=0)\n",
        ("sq = centred ** 2", "centred = z - mu"), "two mistakes: no 2, and the mean gets only the variance's path"),
]
