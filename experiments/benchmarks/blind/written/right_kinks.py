"""Right gradients that a careless checker might refuse: kinks (right.py says in which form)."""
import jax
import jax.numpy as jnp

from case import case, rnd

# ---------------------------------------------------------------- kinks

@case(kink=True)
def relu_at_zero():
    c = jnp.asarray([1., 2., 0.5, 3.])

    def loss(p, c):
        return jnp.sum(c * jax.nn.relu(p["w"]))

    def gradient(p, c):
        return {"w": c * (p["w"] >= 0)}

    return "relu_at_zero", loss, gradient, {"w": jnp.asarray([0., 1., -1., 0.])}, (c,)


@case(kink=True)
def relu_at_zero_half():
    X = jnp.asarray([[1., -1.], [2., 1.], [-1., 3.]])

    def loss(p, X):
        return jnp.sum(jnp.maximum(X @ p["w"], 0.0))

    def gradient(p, X):
        z = X @ p["w"]
        return {"w": X.T @ (0.5 * (1 + jnp.sign(z)))}

    return "relu_at_zero_half", loss, gradient, {"w": jnp.asarray([1., 1.])}, (X,)


@case(kink=True)
def lasso_at_zero():
    X, y = rnd(25, 6, 4), rnd(26, 6)

    def loss(p, X, y):
        return 0.5 * jnp.sum((X @ p["w"] - y) ** 2) + 0.7 * jnp.sum(jnp.abs(p["w"]))

    def gradient(p, X, y):
        w = p["w"]
        smooth = X.T @ (X @ w - y)
        at_zero = jnp.clip(-smooth, -0.7, 0.7)
        return {"w": smooth + jnp.where(w == 0, at_zero, 0.7 * jnp.sign(w))}

    return "lasso_at_zero", loss, gradient, {"w": jnp.asarray([0., 0.4, 0., -0.3])}, (X, y)


@case(kink=True)
def tied_maximum_first():
    def loss(p):
        return jnp.sum(jnp.max(p["a"], axis=1) ** 2)

    def gradient(p):
        a = p["a"]
        k = jnp.argmax(a, axis=1)
        rows = jnp.arange(a.shape[0])
        return {"a": jnp.zeros_like(a).at[rows, k].set(2 * a[rows, k])}

    return "tied_maximum_first", loss, gradient, {"a": jnp.asarray([[1., 3., 3., 2.], [2., 0., 1., 1.5], [4., 4., 4., 4.]])}, ()


@case(kink=True)
def max_pool_ties_last():
    c = jnp.asarray([[1., 2.], [0.5, 1.5]])

    def loss(p, c):
        return jnp.sum(c * p["x"].reshape(2, 2, 2, 2).max(axis=(1, 3)))

    def gradient(p, c):
        x = p["x"]
        g = jnp.zeros_like(x)
        for i in range(2):
            for j in range(2):
                tile = x[2 * i:2 * i + 2, 2 * j:2 * j + 2].ravel()
                k = 3 - int(jnp.argmax(tile[::-1]))
                g = g.at[2 * i + k // 2, 2 * j + k % 2].add(c[i, j])
        return {"x": g}

    return "max_pool_ties_last", loss, gradient, {"x": jnp.asarray([[1., 1., 0., 2.], [1., 0., 2., 1.], [3., 1., 5., 5.], [2., 0., 5., 1.]])}, (c,)


@case(kink=True)
def clip_at_the_edge():
    c = jnp.asarray([1., 2., 3., 4., 5.])

    def loss(p, c):
        return jnp.sum(c * jnp.clip(p["w"], -1.0, 1.0))

    def gradient(p, c):
        inside = (p["w"] >= -1.0) & (p["w"] <= 1.0)
        return {"w": c * inside}

    return "clip_at_the_edge", loss, gradient, {"w": jnp.asarray([1., -1., 0.3, 2., -1.5])}, (c,)


@case(kink=True)
def median_with_ties():
    def loss(p):
        return jnp.median(p["v"]) * 2.0 + jnp.sum(p["v"] ** 2)

    def gradient(p):
        v = p["v"]
        middle = jnp.argsort(v)[v.size // 2]
        return {"v": (2 * v).at[middle].add(2.0)}

    return "median_with_ties", loss, gradient, {"v": jnp.asarray([3., 1., 2., 2., 5., 2., 0.])}, ()


@case(kink=True)
def sorted_weights_with_ties():
    c = jnp.asarray([0.1, 0.5, 1., 2., 4.])

    def loss(p, c):
        return jnp.dot(c, jnp.sort(p["v"]))

    def gradient(p, c):
        order = jnp.lexsort((-jnp.arange(5), p["v"]))
        return {"v": jnp.zeros(5).at[order].set(c)}

    return "sorted_weights_with_ties", loss, gradient, {"v": jnp.asarray([2., 1., 2., 3., 2.])}, (c,)


@case(kink=True)
def hinge_on_the_margin():
    X, y = jnp.asarray([[1., 0.], [0., 1.], [1., 1.], [-1., 2.]]), jnp.asarray([1., 1., -1., 1.])

    def loss(p, X, y):
        return jnp.mean(jnp.maximum(0.0, 1.0 - y * (X @ p["w"]))) + 0.5 * jnp.sum(p["w"] ** 2)

    def gradient(p, X, y):
        active = y * (X @ p["w"]) < 1.0
        return {"w": -((active * y) @ X) / 4 + p["w"]}

    return "hinge_on_the_margin", loss, gradient, {"w": jnp.asarray([1., 0.5])}, (X, y)


@case(kink=True)
def pinball_on_the_data():
    y = jnp.asarray([1., 2., 2., 4.])

    def loss(p, y):
        d = y - p["q"]
        return jnp.sum(jnp.where(d >= 0, 0.3 * d, -0.7 * d))

    def gradient(p, y):
        d = y - p["q"]
        at = jnp.where(d == 0, 0.2, 0.0)
        return {"q": jnp.sum(jnp.where(d > 0, -0.3, jnp.where(d < 0, 0.7, at)))}

    return "pinball_on_the_data", loss, gradient, {"q": jnp.asarray(2.0)}, (y,)


@case(kink=True)
def norm_at_the_origin():
    def loss(p):
        return sum(jnp.where(jnp.sum(v ** 2) > 0, jnp.sqrt(jnp.where(jnp.sum(v ** 2) > 0, jnp.sum(v ** 2), 1.0)), 0.0) for v in (p["u"], p["v"]))

    def gradient(p):
        nu = jnp.linalg.norm(p["u"])
        return {"u": p["u"] / nu, "v": jnp.asarray([0.6, -0.5, 0.3])}

    return "norm_at_the_origin", loss, gradient, {"u": rnd(27, 3), "v": jnp.zeros(3)}, ()


@case(kink=True)
def top_k_with_ties():
    def loss(p):
        return jnp.sum(jax.lax.top_k(p["v"], 3)[0])

    def gradient(p):
        v = p["v"]
        third = jnp.sort(v)[-3]
        above = v > third
        equal = v == third
        share = (3 - above.sum()) / equal.sum()
        return {"v": above + share * equal}

    return "top_k_with_ties", loss, gradient, {"v": jnp.asarray([5., 1., 3., 3., 0., 3., 7.])}, ()


@case()
def top_k_plain():
    c = jnp.asarray([3., 2., 1.])

    def loss(p, c):
        return jnp.dot(c, jax.lax.top_k(p["v"], 3)[0] ** 2)

    def gradient(p, c):
        value, index = jax.lax.top_k(p["v"], 3)
        return {"v": jnp.zeros_like(p["v"]).at[index].add(2 * c * value)}

    return "top_k_plain", loss, gradient, {"v": rnd(28, 8)}, (c,)


@case()
def huber_at_its_edge():
    y = jnp.asarray([0., 0., 0., 0.])

    def loss(p, y):
        r = p["w"] - y
        a = jnp.abs(r)
        return jnp.sum(jnp.where(a <= 1.0, 0.5 * r ** 2, a - 0.5))

    def gradient(p, y):
        return {"w": jnp.clip(p["w"] - y, -1.0, 1.0)}

    return "huber_at_its_edge", loss, gradient, {"w": jnp.asarray([1., -1., 0.4, 3.])}, (y,)
