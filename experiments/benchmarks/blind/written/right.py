"""RIGHT gradients that a careless checker might refuse: (name, loss, gradient, params, args).

The third entry returns the gradient, or (value, gradient) where the name ends in
"value_and_grad".  Gradients are written by hand unless the case is about a transformation.
KINK: a valid subgradient, which need not be jax.grad's.  FLOAT32: float32 parameters.
"""
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

CASES = []
KINK, FLOAT32, DETACHED = set(), set(), set()
TOLERANCE = {}


def case(kink=False, float32=False, detached=False, tol=None):
    def add(f):
        CASES.append(f)
        name = f.__name__
        if kink:
            KINK.add(name)
        if float32:
            FLOAT32.add(name)
        if detached:
            DETACHED.add(name)
        if tol:
            TOLERANCE[name] = tol
        return f
    return add


def rnd(seed, *shape, scale=1.0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * scale)


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


# ---------------------------------------------------------------- Fourier, complex

@case()
def fft_power_spectrum():
    c = jnp.asarray(np.random.default_rng(67).random(8))

    def loss(p, c):
        return jnp.sum(c * jnp.abs(jnp.fft.fft(p["w"])) ** 2)

    def gradient(p, c):
        F = jnp.fft.fft(p["w"])
        return {"w": 2 * 8 * jnp.real(jnp.fft.ifft(c * F))}

    return "fft_power_spectrum", loss, gradient, {"w": rnd(68, 8)}, (c,)


@case()
def rfft_filter():
    x, t = rnd(69, 10), rnd(70, 10)

    def loss(p, x, t):
        y = jnp.fft.irfft(p["gain"] * jnp.fft.rfft(x), n=10)
        return 0.5 * jnp.sum((y - t) ** 2)

    def gradient(p, x, t):
        X = jnp.fft.rfft(x)
        r = jnp.fft.irfft(p["gain"] * X, n=10) - t
        weight = jnp.asarray([1., 2, 2, 2, 2, 1]) / 10
        return {"gain": weight * jnp.real(jnp.conj(X) * jnp.fft.rfft(r))}

    return "rfft_filter", loss, gradient, {"gain": rnd(71, 6)}, (x, t)


@case()
def complex_phases():
    k = jnp.asarray([1., 2., 3., 5.])

    def loss(p, k):
        z = jnp.sum(p["r"] * jnp.exp(1j * k * p["theta"]))
        return jnp.abs(z) ** 2

    def gradient(p, k):
        e = jnp.exp(1j * k * p["theta"])
        z = jnp.sum(p["r"] * e)
        return {"r": 2 * jnp.real(jnp.conj(z) * e), "theta": 2 * jnp.real(jnp.conj(z) * (1j * k * p["r"] * e))}

    return "complex_phases", loss, gradient, {"r": rnd(72, 4), "theta": rnd(73, 4)}, (k,)


# ---------------------------------------------------------------- gather, scatter, masks

@case()
def linear_interpolation():
    xp, q, t = jnp.asarray([0., 1., 2.5, 4., 5.]), jnp.asarray([-1., 0.3, 0.7, 1., 3.1, 4.9, 6.]), rnd(74, 7)

    def loss(p, xp, q, t):
        return jnp.sum((jnp.interp(q, xp, p["y"]) - t) ** 2)

    def gradient(p, xp, q, t):
        inside = jnp.clip(q, xp[0], xp[-1])
        i = jnp.clip(jnp.searchsorted(xp, inside, side="right") - 1, 0, 3)
        f = (inside - xp[i]) / (xp[i + 1] - xp[i])
        r = 2 * ((1 - f) * p["y"][i] + f * p["y"][i + 1] - t)
        g = jnp.zeros(5).at[i].add(r * (1 - f))
        return {"y": g.at[i + 1].add(r * f)}

    return "linear_interpolation", loss, gradient, {"y": rnd(75, 5)}, (xp, q, t)


@case()
def gather_repeated_indices():
    index = jnp.asarray([0, 2, 2, 5, 0, 2])

    def loss(p, index):
        return jnp.sum(jnp.sin(p["E"][index]) * jnp.arange(1., 7.)[:, None])

    def gradient(p, index):
        d = jnp.cos(p["E"][index]) * jnp.arange(1., 7.)[:, None]
        onehot = (index[:, None] == jnp.arange(6)[None, :]).astype(d.dtype)
        return {"E": onehot.T @ d}

    return "gather_repeated_indices", loss, gradient, {"E": rnd(76, 6, 3)}, (index,)


@case()
def segment_sums():
    ids = jnp.asarray([0, 0, 1, 3, 3, 3, 1])

    def loss(p, ids):
        return jnp.sum(jax.ops.segment_sum(p["v"] ** 2, ids, 4) ** 2)

    def gradient(p, ids):
        s = jax.ops.segment_sum(p["v"] ** 2, ids, 4)
        return {"v": 4 * p["v"] * s[ids]}

    return "segment_sums", loss, gradient, {"v": rnd(77, 7)}, (ids,)


@case()
def reflect_padding():
    k = jnp.asarray([0.2, -1., 0.5, 0.3, 1.])

    def loss(p, k):
        return jnp.sum(jnp.convolve(jnp.pad(p["x"], 2, mode="reflect"), k, mode="valid") ** 2)

    def gradient(p, k):
        padded = jnp.pad(p["x"], 2, mode="reflect")
        d = 2 * jnp.convolve(padded, k, mode="valid")
        dp = jnp.convolve(d, k[::-1], mode="full")
        g = dp[2:-2]
        g = g.at[1].add(dp[1])
        g = g.at[2].add(dp[0])
        g = g.at[-2].add(dp[-2])
        g = g.at[-3].add(dp[-1])
        return {"x": g}

    return "reflect_padding", loss, gradient, {"x": rnd(78, 7)}, (k,)


@case()
def dropout_fixed_key():
    X, key = rnd(79, 6, 4), jax.random.PRNGKey(3)

    def loss(p, X, key):
        h = jnp.tanh(X @ p["W"])
        keep = jax.random.bernoulli(key, 0.7, h.shape)
        return jnp.sum(jnp.where(keep, h / 0.7, 0.0) ** 2)

    def gradient(p, X, key):
        h = jnp.tanh(X @ p["W"])
        keep = jax.random.bernoulli(key, 0.7, h.shape)
        dh = 2 * h * keep / 0.7 ** 2
        return {"W": X.T @ (dh * (1 - h ** 2))}

    return "dropout_fixed_key", loss, gradient, {"W": rnd(80, 4, 5, scale=0.5)}, (X, key)


@case()
def masked_mean():
    x, mask = rnd(81, 5, 4), jnp.asarray([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], bool)

    def loss(p, x, mask):
        h = jnp.tanh(x * p["a"] + p["b"])
        n = jnp.maximum(mask.sum(axis=1), 1)
        return jnp.sum((jnp.sum(jnp.where(mask, h, 0.0), axis=1) / n) ** 2)

    def gradient(p, x, mask):
        h = jnp.tanh(x * p["a"] + p["b"])
        n = jnp.maximum(mask.sum(axis=1), 1)
        mean = jnp.sum(jnp.where(mask, h, 0.0), axis=1) / n
        dh = jnp.where(mask, (2 * mean / n)[:, None], 0.0)
        dz = dh * (1 - h ** 2)
        return {"a": jnp.sum(dz * x, axis=0), "b": jnp.sum(dz)}

    return "masked_mean", loss, gradient, {"a": rnd(82, 4), "b": jnp.asarray(0.2)}, (x, mask)


@case()
def safe_division_double_where():
    n, d = jnp.asarray([1., 2., 3., 4.]), jnp.asarray([2., 0., 4., 0.])

    def loss(p, n, d):
        safe = jnp.where(d > 0, d, 1.0)
        return jnp.sum(jnp.where(d > 0, jnp.log(p["s"] * n / safe), 0.0)) + jnp.sum(p["s"] ** 2)

    def gradient(p, n, d):
        return {"s": jnp.where(d > 0, 1 / p["s"], 0.0) + 2 * p["s"]}

    return "safe_division_double_where", loss, gradient, {"s": jnp.asarray([0.5, 1.5, 2.5, 0.7])}, (n, d)


@case()
def hidden_markov_forward_backward():
    obs = jnp.asarray([0, 2, 1, 1, 0, 2])

    def loss(p, obs):
        a = p["start"] + p["emit"][:, obs[0]]
        for o in obs[1:]:
            a = jax.nn.logsumexp(a[:, None] + p["trans"], axis=0) + p["emit"][:, o]
        return -jax.nn.logsumexp(a)

    def gradient(p, obs):
        T = len(obs)
        al = [p["start"] + p["emit"][:, obs[0]]]
        for t in range(1, T):
            al.append(jax.nn.logsumexp(al[-1][:, None] + p["trans"], axis=0) + p["emit"][:, obs[t]])
        Z = jax.nn.logsumexp(al[-1])
        be = [jnp.zeros(3)]
        for t in range(T - 1, 0, -1):
            be.insert(0, jax.nn.logsumexp(p["trans"] + (p["emit"][:, obs[t]] + be[0])[None, :], axis=1))
        emit, trans = jnp.zeros((3, 3)), jnp.zeros((3, 3))
        for t in range(T):
            emit = emit.at[:, obs[t]].add(jnp.exp(al[t] + be[t] - Z))
        for t in range(1, T):
            pair = al[t - 1][:, None] + p["trans"] + (p["emit"][:, obs[t]] + be[t])[None, :]
            trans = trans + jnp.exp(pair - Z)
        return {"start": -jnp.exp(al[0] + be[0] - Z), "trans": -trans, "emit": -emit}

    return "hidden_markov_forward_backward", loss, gradient, {"start": rnd(83, 3), "trans": rnd(84, 3, 3), "emit": rnd(85, 3, 3)}, (obs,)


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


RIGHT = [build() for build in CASES]
