"""Right gradients that a careless checker might refuse: Fourier, complex (right.py says in which form)."""
import jax.numpy as jnp
import numpy as np

from case import case, rnd

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
