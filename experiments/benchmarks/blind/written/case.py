"""How the right gradients are listed: each is a function that `case` adds to CASES."""
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
