"""Right gradients that a careless checker might refuse: gather, scatter, masks (right.py says in which form)."""
import jax
import jax.numpy as jnp

from case import case, rnd

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
