"""Right gradients that a careless checker might refuse: equivalent algebra (right.py says in which form)."""
import jax
import jax.numpy as jnp

from case import case, rnd

# ---------------------------------------------------------------- equivalent algebra

@case()
def fused_sigmoid_cross_entropy():
    X, y = rnd(1, 7, 4), jnp.asarray([0., 1, 1, 0, 1, 0, 1])

    def loss(p, X, y):
        z = X @ p["w"] + p["b"]
        prob = jax.nn.sigmoid(z)
        return -jnp.mean(y * jnp.log(prob) + (1 - y) * jnp.log1p(-prob))

    def gradient(p, X, y):
        z = X @ p["w"] + p["b"]
        r = (jax.nn.sigmoid(z) - y) / y.size
        return {"w": X.T @ r, "b": r.sum()}

    return "fused_sigmoid_cross_entropy", loss, gradient, {"w": rnd(2, 4), "b": jnp.asarray(0.3)}, (X, y)


@case()
def logsumexp_large_logits():
    c = jnp.asarray([0.2, 0.5, 0.3])

    def loss(p, c):
        m = jnp.max(p["z"], axis=1, keepdims=True)
        lse = jnp.log(jnp.sum(jnp.exp(p["z"] - m), axis=1)) + m[:, 0]
        return jnp.sum(lse - p["z"] @ c)

    def gradient(p, c):
        z = p["z"]
        soft = jnp.exp(z - jax.nn.logsumexp(z, axis=1, keepdims=True))
        return {"z": soft - c}

    return "logsumexp_large_logits", loss, gradient, {"z": jnp.asarray([[900., 901., 899.], [-800., -803., -801.], [0., 1., 2.]])}, (c,)


@case()
def softmax_full_jacobian():
    X, t = rnd(3, 5, 3), rnd(4, 5, 4)

    def loss(p, X, t):
        return jnp.sum((jax.nn.softmax(X @ p["W"], axis=1) - t) ** 2)

    def gradient(p, X, t):
        g = jnp.zeros_like(p["W"])
        for x, ti in zip(X, t):
            s = jax.nn.softmax(x @ p["W"])
            J = jnp.diag(s) - jnp.outer(s, s)
            g = g + jnp.outer(x, J @ (2 * (s - ti)))
        return {"W": g}

    return "softmax_full_jacobian", loss, gradient, {"W": rnd(5, 3, 4)}, (X, t)


@case()
def least_squares_by_gram_matrix():
    X, y = rnd(6, 9, 4), rnd(7, 9)

    def loss(p, X, y):
        return jnp.sum((X @ p["w"] - y) ** 2)

    def gradient(p, X, y):
        G = X.T @ X
        return {"w": 2 * (G @ p["w"]) - 2 * (X.T @ y)}

    return "least_squares_by_gram_matrix", loss, gradient, {"w": rnd(8, 4)}, (X, y)


@case()
def value_and_grad_logistic():
    X, y = rnd(9, 6, 3), jnp.asarray([1., -1, 1, 1, -1, -1])

    def loss(p, X, y):
        return jnp.mean(jnp.log1p(jnp.exp(-y * (X @ p["w"])))) + 0.05 * jnp.sum(p["w"] ** 2)

    def value_and_grad(p, X, y):
        margin = y * (X @ p["w"])
        value = jnp.mean(jax.nn.softplus(-margin)) + 0.05 * p["w"] @ p["w"]
        pull = -y * jax.nn.sigmoid(-margin) / len(y)
        return value, {"w": pull @ X + 0.1 * p["w"]}

    return "logistic_value_and_grad", loss, value_and_grad, {"w": rnd(10, 3)}, (X, y)


@case()
def trilinear_other_order():
    A, B = rnd(11, 4, 5), rnd(12, 5, 3)

    def loss(p, A, B):
        return jnp.sum(jnp.sin(A @ p["M"] @ B @ p["N"]))

    def gradient(p, A, B):
        left = A @ p["M"]
        right = B @ p["N"]
        c = jnp.cos(left @ right)
        return {"M": A.T @ (c @ right.T), "N": (left @ B).T @ c}

    return "trilinear_other_order", loss, gradient, {"M": rnd(13, 5, 5), "N": rnd(14, 3, 2)}, (A, B)


@case()
def product_with_a_zero():
    c = rnd(15, 3)

    def loss(p, c):
        return jnp.dot(c, jnp.prod(p["w"], axis=1))

    def gradient(p, c):
        w = p["w"]
        n = w.shape[1]
        left = jnp.concatenate([jnp.ones((3, 1)), jnp.cumprod(w, axis=1)[:, :-1]], axis=1)
        right = jnp.concatenate([jnp.cumprod(w[:, ::-1], axis=1)[:, ::-1][:, 1:], jnp.ones((3, 1))], axis=1)
        return {"w": c[:, None] * left * right}

    return "product_with_a_zero", loss, gradient, {"w": jnp.asarray([[1., 2, 0, 3], [0, 0, 2, 1], [1.5, -2, 0.5, 1]])}, (c,)


@case()
def cumulative_sum():
    t = rnd(16, 6)

    def loss(p, t):
        return jnp.sum((jnp.cumsum(jnp.exp(p["s"])) - t) ** 2)

    def gradient(p, t):
        e = jnp.exp(p["s"])
        d = 2 * (jnp.cumsum(e) - t)
        tail = jnp.sum(d) - jnp.cumsum(d) + d
        return {"s": tail * e}

    return "cumulative_sum", loss, gradient, {"s": rnd(17, 6, scale=0.5)}, (t,)


@case()
def least_squares_at_its_optimum():
    X, y = rnd(18, 8, 3), rnd(19, 8)
    w = jnp.linalg.solve(X.T @ X, X.T @ y)

    def loss(p, X, y):
        return 0.5 * jnp.sum((X @ p["w"] - y) ** 2) + jnp.sum(p["v"] ** 3)

    def gradient(p, X, y):
        return {"w": X.T @ (X @ p["w"]) - X.T @ y, "v": 3 * p["v"] ** 2}

    return "least_squares_at_its_optimum", loss, gradient, {"w": w, "v": rnd(20, 2)}, (X, y)
