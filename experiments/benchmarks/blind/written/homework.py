"""The course's two-layer network: bias columns, sigmoid hidden, softmax out,
cross-entropy and squared-error (Brier) losses, per-example accumulation."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)
LAM = 0.4
ALPHA = 0.7


def make():
    rng = np.random.default_rng(2)
    d, H, K, m = 4, 5, 5, 6
    params = {
        "Theta1": jnp.asarray(rng.normal(size=(H, d + 1)) * 0.6),
        "Theta2": jnp.asarray(rng.normal(size=(K, H + 1)) * 0.6),
    }
    X = jnp.asarray(rng.normal(size=(m, d)))
    labels = rng.integers(0, K, size=m)
    Y = jnp.asarray(np.eye(K)[labels])
    return params, (X, Y)


def sigmoid(z):
    return 1.0 / (1.0 + jnp.exp(-z))


def loss(params, X, Y):
    m = X.shape[0]
    ones = jnp.ones((m, 1))
    A1 = jnp.concatenate([ones, X], axis=1)
    Z2 = A1 @ params["Theta1"].T
    hidden = sigmoid(Z2)
    A2 = jnp.concatenate([ones, hidden], axis=1)
    Z3 = A2 @ params["Theta2"].T
    expo = jnp.exp(Z3)
    norm = jnp.sum(expo, axis=1, keepdims=True)
    H = expo / norm
    xent = -jnp.sum(Y * jnp.log(H)) / m
    diff = H - Y
    brier = 0.5 * jnp.sum(diff ** 2) / m
    data = xent + ALPHA * brier
    reg1 = jnp.sum(params["Theta1"][:, 1:] ** 2)
    reg2 = jnp.sum(params["Theta2"][:, 1:] ** 2)
    return data + LAM / (2 * m) * (reg1 + reg2)


# ---- by hand


def sigmoid_gradient(z):
    g = sigmoid(z)
    return g * (1 - g)


def gradient(params, X, Y):
    Theta1 = params["Theta1"]
    Theta2 = params["Theta2"]
    m = X.shape[0]
    Delta1 = jnp.zeros_like(Theta1)
    Delta2 = jnp.zeros_like(Theta2)
    for t in range(m):
        # forward for one example
        a1 = jnp.concatenate([jnp.ones(1), X[t]])
        z2 = Theta1 @ a1
        a2 = jnp.concatenate([jnp.ones(1), sigmoid(z2)])
        z3 = Theta2 @ a2
        e3 = jnp.exp(z3)
        h = e3 / e3.sum()
        y = Y[t]
        # cross-entropy reaches z3 directly
        delta3_ce = h - y
        # squared error needs the softmax's Jacobian
        err = h - y
        inner = jnp.sum(err * h)
        delta3_sq = h * (err - inner)
        delta3 = delta3_ce + ALPHA * delta3_sq
        # hidden layer, without the bias unit
        back = Theta2[:, 1:].T @ delta3
        delta2 = back * sigmoid_gradient(z2)
        Delta2 = Delta2 + jnp.outer(delta3, a2)
        Delta1 = Delta1 + jnp.outer(delta2, a1)
    grad1 = Delta1 / m
    grad2 = Delta2 / m
    # regularisation, not for the bias column
    grad1 = grad1.at[:, 1:].add(LAM / m * Theta1[:, 1:])
    grad2 = grad2.at[:, 1:].add(LAM / m * Theta2[:, 1:])
    return {"Theta1": grad1, "Theta2": grad2}


BUGS = [
    Bug("sigmoid_gradient_of_activation", "back * sigmoid_gradient(z2)", "back * sigmoid_gradient(a2[1:])",
        ("hidden = sigmoid(Z2)", "return 1.0 / (1.0 + jnp.exp(-z))"), "sigmoid gradient taken at the activation, not at z"),
    Bug("sigmoid_gradient_wrong_formula", "return g * (1 - g)", "return z * (1 - z)",
        ("hidden = sigmoid(Z2)", "return 1.0 / (1.0 + jnp.exp(-z))"), "z(1-z) although z is not yet squashed"),
    Bug("sigmoid_gradient_one_minus_square", "return g * (1 - g)", "return 1 - g ** 2",
        ("hidden = sigmoid(Z2)", "return 1.0 / (1.0 + jnp.exp(-z))"), "tanh's derivative for a sigmoid"),
    Bug("sigmoid_gradient_missing", "back * sigmoid_gradient(z2)", "back",
        ("hidden = sigmoid(Z2)", "return 1.0 / (1.0 + jnp.exp(-z))"), "chain rule factor g'(z) forgotten"),
    Bug("delta_overwritten", "Delta1 = Delta1 + jnp.outer(delta2, a1)", "Delta1 = jnp.outer(delta2, a1)",
        ("Z2 = A1 @ params[\"Theta1\"].T",), "gradient of the last example only: = instead of +="),
    Bug("wrong_bias_column", "back = Theta2[:, 1:].T @ delta3", "back = Theta2[:, :-1].T @ delta3",
        ("A2 = jnp.concatenate([ones, hidden], axis=1)", "Z3 = A2 @ params[\"Theta2\"].T"),
        "dropped the last column instead of the bias column"),
    Bug("no_transpose", "back = Theta2[:, 1:].T @ delta3", "back = Theta2[:, 1:] @ delta3",
        ("Z3 = A2 @ params[\"Theta2\"].T",), "Theta2 not transposed; H = K hides it"),
    Bug("regularise_bias", "grad1 = grad1.at[:, 1:].add(LAM / m * Theta1[:, 1:])",
        "grad1 = grad1 + LAM / m * Theta1",
        ("reg1 = jnp.sum(params[\"Theta1\"][:, 1:] ** 2)",), "the bias column is regularised too"),
    Bug("regularise_rows", "grad2 = grad2.at[:, 1:].add(LAM / m * Theta2[:, 1:])",
        "grad2 = grad2.at[1:, :].add(LAM / m * Theta2[1:, :])",
        ("reg2 = jnp.sum(params[\"Theta2\"][:, 1:] ** 2)",), "first row spared instead of first column"),
    Bug("lambda_not_over_m", "LAM / m * Theta2[:, 1:]", "LAM * Theta2[:, 1:]",
        ("reg2 = jnp.sum(params[\"Theta2\"][:, 1:] ** 2)",), "lambda without the 1/m"),
    Bug("lambda_half", "LAM / m * Theta1[:, 1:]", "LAM / (2 * m) * Theta1[:, 1:]",
        ("reg1 = jnp.sum(params[\"Theta1\"][:, 1:] ** 2)",), "1/2 kept after differentiating the square"),
    Bug("forgot_m", "grad2 = Delta2 / m", "grad2 = Delta2",
        ("Z3 = A2 @ params[\"Theta2\"].T",), "Theta2's accumulator not divided by m"),
    Bug("softmax_diagonal_only", "delta3_sq = h * (err - inner)", "delta3_sq = err * h * (1 - h)",
        ("H = expo / norm", "norm = jnp.sum(expo, axis=1, keepdims=True)"),
        "squared error through the softmax's diagonal only"),
    Bug("no_softmax_jacobian", "delta3_sq = h * (err - inner)", "delta3_sq = err",
        ("H = expo / norm", "norm = jnp.sum(expo, axis=1, keepdims=True)"),
        "delta = h - y is right for cross-entropy, not for squared error"),
    Bug("inner_product_with_target", "inner = jnp.sum(err * h)", "inner = jnp.sum(err * y)",
        ("H = expo / norm", "norm = jnp.sum(expo, axis=1, keepdims=True)"),
        "the dot in the softmax Jacobian taken with y instead of h"),
    Bug("inner_mean", "inner = jnp.sum(err * h)", "inner = jnp.mean(err * h)",
        ("norm = jnp.sum(expo, axis=1, keepdims=True)", "H = expo / norm"),
        "mean for sum in the softmax Jacobian"),
    Bug("square_factor_two", "err = h - y\n", "err = 2 * (h - y)\n",
        ("brier = 0.5 * jnp.sum(diff ** 2) / m",), "the loss already has a 1/2"),
    Bug("double_sigmoid_prime_at_output", "delta3_ce = h - y", "delta3_ce = (h - y) * h * (1 - h)",
        ("xent = -jnp.sum(Y * jnp.log(H)) / m", "H = expo / norm"),
        "cross-entropy's delta also multiplied by h(1-h)"),
    Bug("forgot_alpha", "delta3_ce + ALPHA * delta3_sq", "delta3_ce + delta3_sq",
        ("data = xent + ALPHA * brier",), "the weight of the second loss forgotten"),
    Bug("bias_unit_zero", "a2 = jnp.concatenate([jnp.ones(1), sigmoid(z2)])",
        "a2 = jnp.concatenate([jnp.zeros(1), sigmoid(z2)])",
        ("A2 = jnp.concatenate([ones, hidden], axis=1)",), "bias unit of the hidden layer is 0, not 1"),
    Bug("bias_unit_at_the_end", "a1 = jnp.concatenate([jnp.ones(1), X[t]])",
        "a1 = jnp.concatenate([X[t], jnp.ones(1)])",
        ("A1 = jnp.concatenate([ones, X], axis=1)",), "bias put last, weights expect it first"),
    Bug("pair_sigmoid_and_reg", "    return g * (1 - g)\n\n\ndef gradient(params, X, Y):\n    Theta1 = params[\"Theta1\"]\n",
        "    return g * (1 + g)\n\n\ndef gradient(params, X, Y):\n    Theta1 = params[\"Theta1\"]\n    LAM = 0.0\n",
        ("hidden = sigmoid(Z2)", "return 1.0 / (1.0 + jnp.exp(-z))", "reg1 = jnp.sum(params[\"Theta1\"][:, 1:] ** 2)",
         "reg2 = jnp.sum(params[\"Theta2\"][:, 1:] ** 2)"),
        "two mistakes: g(1+g), and regularisation switched off"),
]
