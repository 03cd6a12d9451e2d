"""MLP with layer normalisation: linear, LN, ReLU, linear, LN, ReLU, linear, squared error."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
EPS = 1e-2


def make():
    rng = np.random.default_rng(3)
    d, H, K, N = 4, 6, 3, 6

    def block(i, o):
        return {
            "W": jnp.asarray(rng.normal(size=(i, o)) * 0.6),
            "b": jnp.asarray(rng.normal(size=o) * 0.2),
            "gamma": jnp.asarray(1.0 + 0.3 * rng.normal(size=o)),
            "beta": jnp.asarray(rng.normal(size=o) * 0.3),
        }

    params = {
        "one": block(d, H),
        "two": block(H, H),
        "out": {
            "W": jnp.asarray(rng.normal(size=(H, K)) * 0.6),
            "b": jnp.asarray(rng.normal(size=K) * 0.2),
        },
    }
    x = jnp.asarray(rng.normal(size=(N, d)))
    target = jnp.asarray(rng.normal(size=(N, K)))
    return params, (x, target)


def layer_norm(x, gamma, beta):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    var = jnp.mean(centred ** 2, axis=-1, keepdims=True)
    std = jnp.sqrt(var + EPS)
    xhat = centred / std
    scaled = xhat * gamma
    return scaled + beta


def loss(params, x, target):
    one, two, out = params["one"], params["two"], params["out"]
    u1 = x @ one["W"]
    z1 = u1 + one["b"]
    n1 = layer_norm(z1, one["gamma"], one["beta"])
    h1 = jnp.maximum(n1, 0.0)
    u2 = h1 @ two["W"]
    z2 = u2 + two["b"]
    n2 = layer_norm(z2, two["gamma"], two["beta"])
    h2 = jnp.maximum(n2, 0.0)
    u3 = h2 @ out["W"]
    pred = u3 + out["b"]
    residual = pred - target
    squares = jnp.sum(residual ** 2, axis=1)
    return 0.5 * jnp.mean(squares)


# ---- by hand


def ln_fwd(x, g, b):
    mu = x.mean(-1, keepdims=True)
    variance = x.var(-1, keepdims=True)
    rstd = 1.0 / jnp.sqrt(variance + EPS)
    normed = (x - mu) * rstd
    return normed * g + b, (normed, rstd, mu, x)


def ln_bwd(dy, g, cache):
    normed, rstd, mu, x = cache
    dgamma = jnp.sum(dy * normed, axis=0)
    dbeta = jnp.sum(dy, axis=0)
    dn = dy * g
    m1 = jnp.mean(dn, axis=-1, keepdims=True)
    m2 = jnp.mean(dn * normed, axis=-1, keepdims=True)
    dx = dn - m1
    dx = dx - normed * m2
    dx = dx * rstd
    return dx, dgamma, dbeta


def gradient(params, x, target):
    p1, p2, p3 = params["one"], params["two"], params["out"]
    N = x.shape[0]
    # forward
    z1 = x @ p1["W"] + p1["b"]
    n1, cache1 = ln_fwd(z1, p1["gamma"], p1["beta"])
    r1 = jax.nn.relu(n1)
    z2 = r1 @ p2["W"] + p2["b"]
    n2, cache2 = ln_fwd(z2, p2["gamma"], p2["beta"])
    r2 = jax.nn.relu(n2)
    yhat = r2 @ p3["W"] + p3["b"]
    # backward
    dyhat = (yhat - target) / N
    g3 = {"W": r2.T @ dyhat, "b": dyhat.sum(0)}
    dr2 = dyhat @ p3["W"].T
    dn2 = jnp.where(n2 > 0, dr2, 0.0)
    dz2, dgam2, dbet2 = ln_bwd(dn2, p2["gamma"], cache2)
    g2 = {"W": r1.T @ dz2, "b": dz2.sum(0), "gamma": dgam2, "beta": dbet2}
    dr1 = dz2 @ p2["W"].T
    dn1 = dr1 * (n1 > 0)
    dz1, dgam1, dbet1 = ln_bwd(dn1, p1["gamma"], cache1)
    g1 = {"W": x.T @ dz1, "b": dz1.sum(0), "gamma": dgam1, "beta": dbet1}
    return {"one": g1, "two": g2, "out": g3}


BUGS = [
    Bug("mean_path_dropped", "    dx = dn - m1\n", "    dx = dn\n",
        ("centred = x - mean", "mean = jnp.mean(x, axis=-1, keepdims=True)"), "the gradient through the mean was dropped"),
    Bug("variance_path_dropped", "    dx = dx - normed * m2\n", "",
        ("var = jnp.mean(centred ** 2, axis=-1, keepdims=True)", "std = jnp.sqrt(var + EPS)"),
        "the gradient through the variance was dropped"),
    Bug("both_paths_dropped", "    dx = dn - m1\n    dx = dx - normed * m2\n", "    dx = dn\n",
        ("mean = jnp.mean(x, axis=-1, keepdims=True)", "var = jnp.mean(centred ** 2, axis=-1, keepdims=True)",
         "centred = x - mean"),
        "mean and variance treated as constants"),
    Bug("variance_path_factor", "dx = dx - normed * m2", "dx = dx - 2.0 * normed * m2",
        ("var = jnp.mean(centred ** 2, axis=-1, keepdims=True)", "std = jnp.sqrt(var + EPS)"),
        "the 2 of the square without the 1/2 of the root"),
    Bug("variance_path_no_xhat", "dx = dx - normed * m2", "dx = dx - m2",
        ("var = jnp.mean(centred ** 2, axis=-1, keepdims=True)", "std = jnp.sqrt(var + EPS)"),
        "xhat forgotten in front of the second mean"),
    Bug("mean_over_batch", "m1 = jnp.mean(dn, axis=-1, keepdims=True)", "m1 = jnp.mean(dn, axis=0, keepdims=True)",
        ("mean = jnp.mean(x, axis=-1, keepdims=True)", "centred = x - mean"),
        "reduced over the batch as in batch norm"),
    Bug("sum_for_mean", "m2 = jnp.mean(dn * normed", "m2 = jnp.sum(dn * normed",
        ("var = jnp.mean(centred ** 2, axis=-1, keepdims=True)",), "1/H of the variance's mean forgotten"),
    Bug("rstd_forgotten", "    dx = dx * rstd\n", "",
        ("xhat = centred / std",), "division by the standard deviation forgotten in dx"),
    Bug("multiply_by_std", "dx = dx * rstd", "dx = dx / rstd",
        ("xhat = centred / std",), "multiplied by std where one divides"),
    Bug("gamma_forgotten_in_dx", "    dn = dy * g\n", "    dn = dy\n",
        ("scaled = xhat * gamma",), "gamma not applied before going back through the normalisation"),
    Bug("gamma_after_the_norm", "    dn = dy * g\n    m1 = jnp.mean(dn, axis=-1, keepdims=True)\n    m2 = jnp.mean(dn * normed, axis=-1, keepdims=True)\n    dx = dn - m1\n    dx = dx - normed * m2\n    dx = dx * rstd\n",
        "    dn = dy\n    m1 = jnp.mean(dn, axis=-1, keepdims=True)\n    m2 = jnp.mean(dn * normed, axis=-1, keepdims=True)\n    dx = dn - m1\n    dx = dx - normed * m2\n    dx = dx * rstd * g\n",
        ("scaled = xhat * gamma",), "gamma multiplied after the reductions instead of before"),
    Bug("dgamma_with_x", "dgamma = jnp.sum(dy * normed, axis=0)", "dgamma = jnp.sum(dy * x, axis=0)",
        ("scaled = xhat * gamma",), "dgamma uses the raw input, not the normalised one"),
    Bug("dgamma_centred_only", "dgamma = jnp.sum(dy * normed, axis=0)", "dgamma = jnp.sum(dy * (x - mu), axis=0)",
        ("scaled = xhat * gamma",), "dgamma without dividing by std"),
    Bug("dbeta_with_gamma", "dbeta = jnp.sum(dy, axis=0)", "dbeta = jnp.sum(dy * g, axis=0)",
        ("return scaled + beta",), "dbeta multiplied by gamma"),
    Bug("dbeta_mean", "dbeta = jnp.sum(dy, axis=0)", "dbeta = jnp.mean(dy, axis=0)",
        ("return scaled + beta",), "dbeta averaged over the batch"),
    Bug("eps_outside_root", "1.0 / jnp.sqrt(variance + EPS)", "1.0 / (jnp.sqrt(variance) + EPS)",
        ("std = jnp.sqrt(var + EPS)",), "epsilon added to the standard deviation"),
    Bug("eps_missing", "jnp.sqrt(variance + EPS)", "jnp.sqrt(variance)",
        ("std = jnp.sqrt(var + EPS)",), "epsilon left out of the backward's recomputation"),
    Bug("unbiased_variance", "variance = x.var(-1, keepdims=True)", "variance = x.var(-1, ddof=1, keepdims=True)",
        ("var = jnp.mean(centred ** 2, axis=-1, keepdims=True)",), "n - 1 in the backward, n in the forward"),
    Bug("relu_mask_of_input", "dn2 = jnp.where(n2 > 0, dr2, 0.0)", "dn2 = jnp.where(z2 > 0, dr2, 0.0)",
        ("h2 = jnp.maximum(n2, 0.0)",), "ReLU mask taken before the normalisation"),
    Bug("relu_mask_on_gradient", "dn2 = jnp.where(n2 > 0, dr2, 0.0)", "dn2 = jnp.where(dr2 > 0, dr2, 0.0)",
        ("h2 = jnp.maximum(n2, 0.0)",), "masked where the gradient is negative (deconvnet)"),
    Bug("relu_mask_forgotten", "dn1 = dr1 * (n1 > 0)", "dn1 = dr1",
        ("h1 = jnp.maximum(n1, 0.0)",), "ReLU's mask forgotten"),
    Bug("relu_multiplied", "dn1 = dr1 * (n1 > 0)", "dn1 = dr1 * r1",
        ("h1 = jnp.maximum(n1, 0.0)",), "multiplied by the activation, not by its sign"),
    Bug("wrong_cache", "ln_bwd(dn1, p1[\"gamma\"], cache1)", "ln_bwd(dn1, p1[\"gamma\"], cache2)",
        ("n1 = layer_norm(z1, one[\"gamma\"], one[\"beta\"])", "scaled = xhat * gamma", "xhat = centred / std"), "the second layer's cache passed to the first"),
    Bug("wrong_gamma", "ln_bwd(dn1, p1[\"gamma\"], cache1)", "ln_bwd(dn1, p2[\"gamma\"], cache1)",
        ("n1 = layer_norm(z1, one[\"gamma\"], one[\"beta\"])", "scaled = xhat * gamma"), "the second layer's gamma used in the first"),
    Bug("mean_squared_error_over_all", "dyhat = (yhat - target) / N", "dyhat = (yhat - target) / yhat.size",
        ("return 0.5 * jnp.mean(squares)", "squares = jnp.sum(residual ** 2, axis=1)"),
        "divided by N*K; the loss sums over outputs"),
    Bug("pair_bias_and_mean", "    g2 = {\"W\": r1.T @ dz2, \"b\": dz2.sum(0), \"gamma\": dgam2, \"beta\": dbet2}\n    dr1 = dz2 @ p2[\"W\"].T\n",
        "    g2 = {\"W\": r1.T @ dz2, \"b\": dn2.sum(0), \"gamma\": dgam2, \"beta\": dbet2}\n    dr1 = dz2 @ p2[\"W\"]\n",
        ("z2 = u2 + two[\"b\"]", "u2 = h1 @ two[\"W\"]"),
        "two mistakes: the bias gets the gradient after the norm, and W2 isn't transposed"),
]
