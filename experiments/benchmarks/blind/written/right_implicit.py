"""Right gradients that a careless checker might refuse: implicit differentiation (right.py says in which form)."""
import jax.numpy as jnp

from case import case, rnd

# ---------------------------------------------------------------- implicit differentiation

@case()
def implicit_fixed_point():
    c = rnd(29, 4)

    def loss(p, c):
        x = jnp.zeros(4)
        for _ in range(80):
            x = jnp.tanh(p["W"] @ x + p["b"])
        return jnp.dot(c, x) + jnp.sum(x ** 2)

    def gradient(p, c):
        x = jnp.zeros(4)
        for _ in range(80):
            x = jnp.tanh(p["W"] @ x + p["b"])
        D = 1 - x ** 2
        J = D[:, None] * p["W"]
        u = jnp.linalg.solve((jnp.eye(4) - J).T, c + 2 * x)
        v = u * D
        return {"W": jnp.outer(v, x), "b": v}

    return "implicit_fixed_point", loss, gradient, {"W": rnd(30, 4, 4, scale=0.25), "b": rnd(31, 4)}, (c,)


@case()
def implicit_root_of_a_cubic():
    def loss(p):
        x = 1.0
        for _ in range(40):
            x = x - (x ** 3 + p["a"] * x - p["b"]) / (3 * x ** 2 + p["a"])
        return x ** 2

    def gradient(p):
        x = 1.0
        for _ in range(40):
            x = x - (x ** 3 + p["a"] * x - p["b"]) / (3 * x ** 2 + p["a"])
        slope = 3 * x ** 2 + p["a"]
        return {"a": 2 * x * (-x / slope), "b": 2 * x / slope}

    return "implicit_root_of_a_cubic", loss, gradient, {"a": jnp.asarray(1.3), "b": jnp.asarray(2.1)}, ()


@case()
def implicit_ridge_hyperparameter():
    X, y, Xv, yv = rnd(32, 10, 3), rnd(33, 10), rnd(34, 5, 3), rnd(35, 5)

    def loss(p, X, y, Xv, yv):
        A = X.T @ X + jnp.exp(p["log_lambda"]) * jnp.eye(3)
        w = jnp.linalg.solve(A, X.T @ y)
        return jnp.mean((Xv @ w - yv) ** 2)

    def gradient(p, X, y, Xv, yv):
        lam = jnp.exp(p["log_lambda"])
        A = X.T @ X + lam * jnp.eye(3)
        w = jnp.linalg.solve(A, X.T @ y)
        dw = 2 * Xv.T @ (Xv @ w - yv) / yv.size
        adjoint = jnp.linalg.solve(A, dw)
        return {"log_lambda": -lam * jnp.dot(adjoint, w)}

    return "implicit_ridge_hyperparameter", loss, gradient, {"log_lambda": jnp.asarray(-0.4)}, (X, y, Xv, yv)
