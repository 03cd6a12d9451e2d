"""Right gradients that a careless checker might refuse: linear algebra (right.py says in which form)."""
import jax
import jax.numpy as jnp

from case import case, rnd

# ---------------------------------------------------------------- linear algebra

@case()
def log_determinant():
    M = rnd(54, 4, 4)

    def loss(p, M):
        return jnp.linalg.slogdet(p["A"] @ M + 3 * jnp.eye(4))[1]

    def gradient(p, M):
        B = p["A"] @ M + 3 * jnp.eye(4)
        return {"A": jnp.linalg.inv(B).T @ M.T}

    return "log_determinant", loss, gradient, {"A": rnd(55, 4, 4, scale=0.5)}, (M,)


@case()
def gaussian_likelihood_by_cholesky():
    X = rnd(56, 9, 3)

    def loss(p, X):
        S = p["F"] @ p["F"].T + jnp.eye(3)
        L = jnp.linalg.cholesky(S)
        r = X - p["m"]
        white = jax.scipy.linalg.solve_triangular(L, r.T, lower=True)
        return 0.5 * jnp.sum(white ** 2) + r.shape[0] * jnp.sum(jnp.log(jnp.diag(L)))

    def gradient(p, X):
        F = p["F"]
        inverse = jnp.linalg.inv(F @ F.T + jnp.eye(3))
        r = X - p["m"]
        scatter = r.T @ r
        dS = 0.5 * (len(X) * inverse - inverse @ scatter @ inverse)
        return {"F": 2 * dS @ F, "m": -inverse @ r.sum(axis=0)}

    return "gaussian_likelihood_by_cholesky", loss, gradient, {"F": rnd(57, 3, 3), "m": rnd(58, 3)}, (X,)


@case()
def cholesky_backward():
    C = rnd(59, 4, 4)

    def loss(p, C):
        S = p["B"] @ p["B"].T + 2 * jnp.eye(4)
        return jnp.sum(C * jnp.linalg.cholesky(S))

    def gradient(p, C):
        B = p["B"]
        L = jnp.linalg.cholesky(B @ B.T + 2 * jnp.eye(4))
        P = jnp.tril(L.T @ jnp.tril(C))
        P = P - 0.5 * jnp.diag(jnp.diag(P))
        inner = jnp.linalg.solve(L.T, P)
        dS = jnp.linalg.solve(L.T, inner.T).T
        dS = 0.5 * (dS + dS.T)
        return {"B": 2 * dS @ B}

    return "cholesky_backward", loss, gradient, {"B": rnd(60, 4, 4)}, (C,)


@case()
def linear_solve():
    c = rnd(61, 4)

    def loss(p, c):
        x = jnp.linalg.solve(p["A"], p["b"])
        return jnp.dot(c, jnp.sin(x))

    def gradient(p, c):
        x = jnp.linalg.solve(p["A"], p["b"])
        lam = jnp.linalg.solve(p["A"].T, c * jnp.cos(x))
        return {"A": -jnp.outer(lam, x), "b": lam}

    return "linear_solve", loss, gradient, {"A": rnd(62, 4, 4) + 3 * jnp.eye(4), "b": rnd(63, 4)}, (c,)


@case()
def symmetric_eigenvalues():
    c = jnp.asarray([1., -2., 0.5, 3.])

    def loss(p, c):
        S = 0.5 * (p["A"] + p["A"].T)
        return jnp.dot(c, jnp.linalg.eigvalsh(S) ** 2)

    def gradient(p, c):
        S = 0.5 * (p["A"] + p["A"].T)
        lam, V = jnp.linalg.eigh(S)
        return {"A": (V * (2 * c * lam)) @ V.T}

    return "symmetric_eigenvalues", loss, gradient, {"A": rnd(64, 4, 4) + jnp.diag(jnp.asarray([0., 2., 4., 6.]))}, (c,)


@case()
def nuclear_norm():
    def loss(p):
        return jnp.sum(jnp.linalg.svd(p["A"], compute_uv=False))

    def gradient(p):
        U, s, Vt = jnp.linalg.svd(p["A"], full_matrices=False)
        return {"A": U @ Vt}

    return "nuclear_norm", loss, gradient, {"A": rnd(65, 5, 3)}, ()


@case()
def trace_of_inverse():
    def loss(p):
        return jnp.trace(jnp.linalg.inv(p["A"]))

    def gradient(p):
        inv = jnp.linalg.inv(p["A"])
        return {"A": -(inv @ inv).T}

    return "trace_of_inverse", loss, gradient, {"A": rnd(66, 4, 4) + 3 * jnp.eye(4)}, ()
