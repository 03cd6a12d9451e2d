"""Right gradients that a careless checker might refuse: float32 (right.py says in which form)."""
import jax
import jax.numpy as jnp

from case import case, rnd

# ---------------------------------------------------------------- float32

@case(float32=True)
def float32_network():
    X, y = rnd(21, 8, 4).astype(jnp.float32), rnd(22, 8, 2).astype(jnp.float32)
    params = {"W": rnd(23, 4, 5).astype(jnp.float32), "V": rnd(24, 5, 2).astype(jnp.float32)}

    def loss(p, X, y):
        return jnp.mean((jnp.tanh(X @ p["W"]) @ p["V"] - y) ** 2)

    def gradient(p, X, y):
        h = jnp.tanh(X @ p["W"])
        r = (h @ p["V"] - y) * (2 / y.size)
        dz = (r @ p["V"].T) * (1 - h * h)
        return {"W": X.T @ dz, "V": h.T @ r}

    return "float32_network", loss, gradient, params, (X, y)


@case(float32=True)
def float32_softplus():
    t = jnp.asarray([0., 1., 1., 0., 1.], jnp.float32)

    def loss(p, t):
        return jnp.sum(jax.nn.softplus(p["z"]) - t * p["z"])

    def gradient(p, t):
        z = p["z"]
        small = jnp.exp(-jnp.abs(z))
        s = jnp.where(z >= 0, 1 / (1 + small), small / (1 + small))
        return {"z": s - t}

    return "float32_softplus", loss, gradient, {"z": jnp.asarray([-30., 0.2, 95., 3., -2.], jnp.float32)}, (t,)


@case(float32=True)
def float32_log1p():
    def loss(p):
        return jnp.sum(p["a"] * jnp.expm1(p["e"]))

    def gradient(p):
        return {"a": jnp.expm1(p["e"]), "e": p["a"] * jnp.exp(p["e"])}

    return "float32_log1p", loss, gradient, {"a": jnp.asarray([1., 2., 3.], jnp.float32), "e": jnp.asarray([1e-6, 3e-5, 2e-5], jnp.float32)}, ()
