"""Right gradients that a careless checker might refuse: odd parameters (right.py says in which form)."""
import jax
import jax.numpy as jnp
import numpy as np

from case import case, rnd

# ---------------------------------------------------------------- odd parameters

@case()
def very_different_scales():
    x = rnd(86, 8)

    def loss(p, x):
        u = p["tiny"] * 1e8 * x[:3] + p["huge"] * 1e-3 * x[3:6]
        return jnp.sum(jnp.sin(u)) + jnp.sum(p["mid"] ** 2)

    def gradient(p, x):
        u = p["tiny"] * 1e8 * x[:3] + p["huge"] * 1e-3 * x[3:6]
        return {"tiny": jnp.cos(u) * 1e8 * x[:3], "huge": jnp.cos(u) * 1e-3 * x[3:6], "mid": 2 * p["mid"]}

    return "very_different_scales", loss, gradient, {"tiny": rnd(87, 3, scale=1e-8), "huge": rnd(88, 3, scale=1e3), "mid": rnd(89, 2)}, (x,)


@case()
def small_gradient_beside_large():
    x = rnd(90, 5)

    def loss(p, x):
        return 1e3 * jnp.sum((p["a"] - x) ** 2) + 1e-6 * jnp.sum(jnp.exp(p["b"]))

    def gradient(p, x):
        return {"a": 2e3 * (p["a"] - x), "b": 1e-6 * jnp.exp(p["b"])}

    return "small_gradient_beside_large", loss, gradient, {"a": rnd(91, 5), "b": rnd(92, 3)}, (x,)


@case()
def zero_sized_leaf():
    x = rnd(93, 4)

    def loss(p, x):
        return jnp.sum((p["w"] * x) ** 2) + jnp.sum(p["none_here"] ** 2)

    def gradient(p, x):
        return {"w": 2 * p["w"] * x ** 2, "none_here": jnp.zeros((0, 3))}

    return "zero_sized_leaf", loss, gradient, {"w": rnd(94, 4), "none_here": jnp.zeros((0, 3))}, (x,)


@case()
def none_leaf():
    x = rnd(95, 4, 3)

    def loss(p, x):
        z = x @ p["w"]
        if p["b"] is not None:
            z = z + p["b"]
        return jnp.sum(jnp.exp(0.3 * z))

    def gradient(p, x):
        return {"w": 0.3 * x.T @ jnp.exp(0.3 * (x @ p["w"])), "b": None}

    return "none_leaf", loss, gradient, {"w": rnd(96, 3), "b": None}, (x,)


@case()
def integer_leaf():
    x = rnd(97, 4)

    def loss(p, x):
        return jnp.sum(p["w"] ** p["power"] * x)

    def gradient(p, x):
        return {"w": p["power"] * p["w"] ** (p["power"] - 1) * x, "power": np.zeros((), jax.dtypes.float0)}

    return "integer_leaf", loss, gradient, {"w": jnp.asarray([0.5, 1.5, 2., 0.7]), "power": jnp.asarray(3)}, (x,)


@case()
def unused_leaf_and_constant_region():
    x = rnd(98, 4)

    def loss(p, x):
        return jnp.sum(jnp.floor(p["f"])) + jnp.sum(p["w"] ** 2 * x)

    def gradient(p, x):
        return {"f": jnp.zeros_like(p["f"]), "w": 2 * p["w"] * x, "unused": jnp.zeros_like(p["unused"])}

    return "unused_leaf_and_constant_region", loss, gradient, {"f": rnd(99, 3), "w": rnd(100, 4), "unused": rnd(101, 2)}, (x,)


@case()
def numpy_gradient():
    X, y = rnd(102, 7, 3), rnd(103, 7)

    def loss(p, X, y):
        return jnp.mean(jnp.sqrt(1 + (X @ p["w"] + p["c"] - y) ** 2))

    def gradient(p, X, y):
        X, y, w = np.asarray(X), np.asarray(y), np.asarray(p["w"])
        r = X.dot(w) + float(p["c"]) - y
        d = r / np.sqrt(1 + r ** 2) / len(y)
        return {"w": np.einsum("ni,n->i", X, d), "c": np.float64(d.sum())}

    return "numpy_gradient", loss, gradient, {"w": rnd(104, 3), "c": jnp.asarray(0.1)}, (X, y)


@case()
def nested_lists_and_tuples():
    x = rnd(105, 3)

    def loss(p, x):
        (a, b), rest = p["pair"], p["rest"]
        return jnp.sum(a * x) * jnp.sum(b) + rest[0]["k"] ** 2 * rest[1]

    def gradient(p, x):
        (a, b), rest = p["pair"], p["rest"]
        return {"pair": (x * b.sum(), jnp.full_like(b, jnp.dot(a, x))),
                "rest": [{"k": 2 * rest[0]["k"] * rest[1]}, rest[0]["k"] ** 2]}

    return "nested_lists_and_tuples", loss, gradient, {"pair": (rnd(106, 3), rnd(107, 2)), "rest": [{"k": jnp.asarray(1.5)}, jnp.asarray(-0.7)]}, (x,)
