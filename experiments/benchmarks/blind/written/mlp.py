"""d-H-H-K perceptron: tanh, softmax cross-entropy, L2 on the weights."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
LAMBDA = 0.03


def make():
    rng = np.random.default_rng(1)
    d, H, K, N = 5, 6, 4, 7
    params = {
        "W1": jnp.asarray(rng.normal(size=(d, H)) * 0.5),
        "b1": jnp.asarray(rng.normal(size=H) * 0.1),
        "W2": jnp.asarray(rng.normal(size=(H, H)) * 0.5),
        "b2": jnp.asarray(rng.normal(size=H) * 0.1),
        "W3": jnp.asarray(rng.normal(size=(H, K)) * 0.5),
        "b3": jnp.asarray(rng.normal(size=K) * 0.1),
    }
    x = jnp.asarray(rng.normal(size=(N, d)))
    y = jnp.asarray(rng.integers(0, K, size=N))
    return params, (x, y)


def loss(params, x, y):
    rows = jnp.arange(x.shape[0])
    u1 = x @ params["W1"]
    z1 = u1 + params["b1"]
    h1 = jnp.tanh(z1)
    u2 = h1 @ params["W2"]
    z2 = u2 + params["b2"]
    h2 = jnp.tanh(z2)
    u3 = h2 @ params["W3"]
    logits = u3 + params["b3"]
    top = jax.lax.stop_gradient(jnp.max(logits, axis=1, keepdims=True))
    shifted = logits - top
    total = jnp.sum(jnp.exp(shifted), axis=1)
    picked = shifted[rows, y]
    nll = jnp.log(total) - picked
    data = jnp.mean(nll)
    reg = jnp.sum(params["W1"] ** 2)
    reg = reg + jnp.sum(params["W2"] ** 2)
    reg = reg + jnp.sum(params["W3"] ** 2)
    return data + 0.5 * LAMBDA * reg


def gradient(params, x, y):
    p = params
    n = x.shape[0]
    # forward
    s1 = x @ p["W1"] + p["b1"]
    a1 = jnp.tanh(s1)
    s2 = a1 @ p["W2"] + p["b2"]
    a2 = jnp.tanh(s2)
    scores = a2 @ p["W3"] + p["b3"]
    scores = scores - scores.max(axis=1, keepdims=True)
    e = jnp.exp(scores)
    probs = e / e.sum(axis=1, keepdims=True)
    # backward
    onehot = jnp.eye(probs.shape[1])[y]
    dscores = probs - onehot
    dscores = dscores / n
    dW3 = a2.T @ dscores
    db3 = jnp.sum(dscores, axis=0)
    da2 = dscores @ p["W3"].T
    ds2 = da2 * (1.0 - a2 ** 2)
    dW2 = a1.T @ ds2
    db2 = jnp.sum(ds2, axis=0)
    da1 = ds2 @ p["W2"].T
    ds1 = da1 * (1.0 - a1 * a1)
    dW1 = x.T @ ds1
    db1 = jnp.sum(ds1, axis=0)
    # weight decay
    dW3 = dW3 + LAMBDA * p["W3"]
    dW2 = dW2 + LAMBDA * p["W2"]
    dW1 = dW1 + LAMBDA * p["W1"]
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}


BUGS = [
    Bug("tanh_not_squared", "ds2 = da2 * (1.0 - a2 ** 2)", "ds2 = da2 * (1.0 - a2)",
        ("h2 = jnp.tanh(z2)",), "tanh' is 1 - tanh^2; the square was forgotten"),
    Bug("tanh_of_tanh", "(1.0 - a1 * a1)", "(1.0 - jnp.tanh(a1) ** 2)",
        ("h1 = jnp.tanh(z1)",), "tanh' evaluated at the output instead of the input"),
    Bug("tanh_preactivation", "(1.0 - a2 ** 2)", "(1.0 - s2 ** 2)",
        ("h2 = jnp.tanh(z2)",), "1 - z^2 in place of 1 - a^2"),
    Bug("sigmoid_derivative_for_tanh", "(1.0 - a1 * a1)", "a1 * (1.0 - a1)",
        ("h1 = jnp.tanh(z1)",), "the sigmoid's derivative copied into a tanh layer"),
    Bug("no_batch_mean", "    dscores = dscores / n\n", "",
        ("data = jnp.mean(nll)",), "the loss is a mean, the gradient a sum: 1/N missing"),
    Bug("divide_by_classes", "dscores = dscores / n", "dscores = dscores / dscores.shape[1]",
        ("data = jnp.mean(nll)",), "divided by the number of classes instead of examples"),
    Bug("batch_factor_twice", "dW2 = a1.T @ ds2", "dW2 = a1.T @ ds2 / n",
        ("u2 = h1 @ params[\"W2\"]",), "1/N applied a second time at one layer"),
    Bug("softmax_wrong_axis", "e.sum(axis=1, keepdims=True)", "e.sum(axis=0, keepdims=True)",
        ("total = jnp.sum(jnp.exp(shifted), axis=1)",), "softmax normalised over the batch"),
    Bug("sign_flipped", "dscores = probs - onehot", "dscores = onehot - probs",
        ("nll = jnp.log(total) - picked", "picked = shifted[rows, y]"), "y - p in place of p - y"),
    Bug("forgot_target", "dscores = probs - onehot", "dscores = probs",
        ("picked = shifted[rows, y]", "nll = jnp.log(total) - picked"),
        "the -1 at the label was left out"),
    Bug("missing_transpose", "da1 = ds2 @ p[\"W2\"].T", "da1 = ds2 @ p[\"W2\"]",
        ("u2 = h1 @ params[\"W2\"]",), "square weight matrix not transposed in the backward"),
    Bug("weight_gradient_transposed", "dW2 = a1.T @ ds2", "dW2 = ds2.T @ a1",
        ("u2 = h1 @ params[\"W2\"]",), "delta^T a instead of a^T delta; square, so no shape error"),
    Bug("bias_mean", "db2 = jnp.sum(ds2, axis=0)", "db2 = jnp.mean(ds2, axis=0)",
        ("z2 = u2 + params[\"b2\"]",), "bias gradient averaged though 1/N is already in delta"),
    Bug("bias_of_wrong_layer", "db1 = jnp.sum(ds1, axis=0)", "db1 = jnp.sum(ds2, axis=0)",
        ("z1 = u1 + params[\"b1\"]",), "copy and paste: layer 2's delta used for b1"),
    Bug("wrong_layer_activation", "(1.0 - a1 * a1)", "(1.0 - a2 * a2)",
        ("h1 = jnp.tanh(z1)",), "layer 2's activation used in layer 1's tanh'"),
    Bug("skip_tanh", "da1 = ds2 @ p[\"W2\"].T", "da1 = da2 @ p[\"W2\"].T",
        ("h2 = jnp.tanh(z2)", "u2 = h1 @ params[\"W2\"]"), "delta passed back before multiplying by tanh'"),
    Bug("preactivation_into_weight", "dW3 = a2.T @ dscores", "dW3 = s2.T @ dscores",
        ("u3 = h2 @ params[\"W3\"]",), "weight gradient with the pre-activation"),
    Bug("l2_factor_two", "dW2 + LAMBDA * p[\"W2\"]", "dW2 + 2 * LAMBDA * p[\"W2\"]",
        ("reg = reg + jnp.sum(params[\"W2\"] ** 2)",), "the 1/2 in front of the penalty forgotten"),
    Bug("l2_forgotten_first_layer", "    dW1 = dW1 + LAMBDA * p[\"W1\"]\n", "",
        ("reg = jnp.sum(params[\"W1\"] ** 2)",), "weight decay forgotten in the first layer"),
    Bug("l2_over_batch", "dW3 + LAMBDA * p[\"W3\"]", "dW3 + LAMBDA * p[\"W3\"] / n",
        ("reg = reg + jnp.sum(params[\"W3\"] ** 2)",), "penalty divided by N, which the loss doesn't"),
    Bug("l2_minus", "dW1 + LAMBDA", "dW1 - LAMBDA",
        ("reg = jnp.sum(params[\"W1\"] ** 2)",), "sign of the weight decay"),
    Bug("decay_before_backprop", "da2 = dscores @ p[\"W3\"].T", "da2 = dscores @ (p[\"W3\"] - 0.1 * dW3).T",
        ("u3 = h2 @ params[\"W3\"]",), "weights already updated before the delta was passed back"),
    Bug("pair_l2_and_bias", "    db1 = jnp.sum(ds1, axis=0)\n    # weight decay\n    dW3 = dW3 + LAMBDA * p[\"W3\"]\n",
        "    db1 = jnp.mean(ds1, axis=0)\n    # weight decay\n",
        ("z1 = u1 + params[\"b1\"]", "reg = reg + jnp.sum(params[\"W3\"] ** 2)"),
        "two mistakes: bias averaged, and no decay on W3"),
]
