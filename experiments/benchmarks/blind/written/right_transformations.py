"""Right gradients that a careless checker might refuse: transformations (right.py says in which form)."""
import jax
import jax.numpy as jnp

from case import case, rnd

# ---------------------------------------------------------------- transformations

@case()
def custom_vjp_straight_line():
    x = rnd(36, 6)

    def loss(p, x):
        return jnp.sum(jnp.log(1 + (p["a"] * x) ** 2)) + p["a"] * p["b"] ** 2

    @jax.custom_vjp
    def cauchy(a, x):
        return jnp.sum(jnp.log1p((a * x) ** 2))

    def fwd(a, x):
        return cauchy(a, x), (a, x)

    def bwd(saved, g):
        a, x = saved
        u = a * x
        du = g * 2 * u / (1 + u * u)
        return jnp.sum(du * x), du * a

    cauchy.defvjp(fwd, bwd)
    gradient = jax.grad(lambda p, x: cauchy(p["a"], x) + p["a"] * p["b"] ** 2)
    return "custom_vjp_straight_line", loss, gradient, {"a": jnp.asarray(0.8), "b": jnp.asarray(1.2)}, (x,)


@case()
def checkpointed_by_hand():
    x = rnd(37, 5)

    def layer(W, h):
        return h + jnp.sin(W @ h)

    def loss(p, x):
        h = x
        for W in p["layers"]:
            h = layer(W, h)
        return jnp.sum(h ** 2)

    def gradient(p, x):
        layers = p["layers"]
        marks = [x]
        for k in (0, 2):
            h = layer(layers[k + 1], layer(layers[k], marks[-1]))
            marks.append(h)
        d = 2 * marks[-1]
        out = [None] * 4
        for segment in (1, 0):
            inner = [marks[segment]]
            inner.append(layer(layers[2 * segment], inner[0]))
            for k in (1, 0):
                W, h = layers[2 * segment + k], inner[k]
                s = d * jnp.cos(W @ h)
                out[2 * segment + k] = jnp.outer(s, h)
                d = d + W.T @ s
        return {"layers": out}

    return "checkpointed_by_hand", loss, gradient, {"layers": [rnd(38 + i, 5, 5, scale=0.4) for i in range(4)]}, (x,)


@case()
def scan_backward_by_hand():
    u = rnd(42, 7, 3)

    def loss(p, u):
        def step(h, ut):
            h = jnp.tanh(p["A"] @ h + ut)
            return h, jnp.sum(h ** 3)
        return jnp.sum(jax.lax.scan(step, p["h0"], u)[1])

    def gradient(p, u):
        def forward(h, ut):
            new = jnp.tanh(p["A"] @ h + ut)
            return new, (h, new)

        def backward(carry, saved):
            dh, dA = carry
            old, new = saved
            dh = dh + 3 * new ** 2
            dz = dh * (1 - new ** 2)
            return (p["A"].T @ dz, dA + jnp.outer(dz, old)), None

        _, saved = jax.lax.scan(forward, p["h0"], u)
        start = (jnp.zeros(3), jnp.zeros((3, 3)))
        (dh0, dA), _ = jax.lax.scan(backward, start, saved, reverse=True)
        return {"A": dA, "h0": dh0}

    return "scan_backward_by_hand", loss, gradient, {"A": rnd(43, 3, 3, scale=0.6), "h0": rnd(44, 3)}, (u,)


@case()
def jitted_and_vmapped_per_example():
    X, y = rnd(45, 6, 3), rnd(46, 6)

    def loss(p, X, y):
        return jnp.mean(jnp.cosh(X @ p["w"] - y))

    @jax.jit
    def gradient(p, X, y):
        one = lambda x, t: jnp.sinh(jnp.dot(x, p["w"]) - t) * x
        return {"w": jnp.mean(jax.vmap(one)(X, y), axis=0)}

    return "jitted_and_vmapped_per_example", loss, gradient, {"w": rnd(47, 3, scale=0.5)}, (X, y)


@case(detached=True)
def detached_target():
    s, s2, r = rnd(48, 6, 3), rnd(49, 6, 3), rnd(50, 6)

    def loss(p, s, s2, r):
        target = r + 0.9 * jax.lax.stop_gradient(s2 @ p["w"])
        return 0.5 * jnp.mean((s @ p["w"] - target) ** 2)

    def gradient(p, s, s2, r):
        error = s @ p["w"] - (r + 0.9 * (s2 @ p["w"]))
        return {"w": s.T @ error / 6}

    return "detached_target", loss, gradient, {"w": rnd(51, 3)}, (s, s2, r)


@case(detached=True)
def straight_through_rounding():
    t = rnd(52, 5)

    def loss(p, t):
        q = p["w"] + jax.lax.stop_gradient(jnp.round(p["w"]) - p["w"])
        return jnp.sum((q - t) ** 2)

    def gradient(p, t):
        return {"w": 2 * (jnp.round(p["w"]) - t)}

    return "straight_through_rounding", loss, gradient, {"w": rnd(53, 5, scale=2.0)}, (t,)
