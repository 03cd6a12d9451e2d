"""Ten million parameters: what a verdict costs beside ``jax.test_util.check_grads`` in float64."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import row

PROBLEMS = ("dense layers", "embedding with rare rows")
TIME, MEMORY = 5, 3  # times what check_grads takes


def run() -> list[dict[str, Any]]:
    """Return two rows a problem: seconds and peak memory, each side in a process of its own."""
    rows = []
    for problem in PROBLEMS:
        ours, peer = (_measured(side, problem) for side in ("referee", "check_grads"))
        for unit, aim in (("s", TIME), ("MB", MEMORY)):
            label = f"referee against check_grads, 10 million parameters, {problem}"
            rows.append(row(label, ours[unit], peer[unit], unit, aim=f"ratio <= {aim}"))
    return rows


def _measured(side: str, problem: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, side, problem], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def made(problem: str) -> tuple[Callable[..., Any], dict[str, Any], tuple[Any, ...]]:
    """Return a loss, ten million parameters in float32, and a batch."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (generator.normal(size=shape) / shape[0] ** 0.5).astype(np.float32)

    if problem == PROBLEMS[0]:
        params = {"w1": normal(784, 4096), "b1": np.zeros(4096, np.float32)}
        params |= {"w2": normal(4096, 1664), "b2": np.zeros(1664, np.float32)}
        params |= {"w3": normal(1664, 10), "b3": np.zeros(10, np.float32)}
        batch = (normal(32, 784), generator.integers(10, size=32))

        def loss(p: dict[str, Any], inputs: Any, labels: Any) -> Any:
            hidden = jnp.tanh(inputs @ p["w1"] + p["b1"])
            hidden = jnp.tanh(hidden @ p["w2"] + p["b2"])
            return _cross_entropy(hidden @ p["w3"] + p["b3"], labels)

        return loss, params, batch
    params = {"table": normal(156_250, 64), "w": normal(64, 10), "b": np.zeros(10, np.float32)}
    # Few rows are looked up, most of them once.
    words = np.minimum(generator.zipf(1.3, size=(64, 16)), 156_249)
    labels = generator.integers(10, size=64)

    def looked_up(p: dict[str, Any], words: Any, labels: Any) -> Any:
        hidden = jnp.tanh(10 * p["table"][words].mean(axis=1))
        return _cross_entropy(hidden @ p["w"] + p["b"], labels)

    return looked_up, params, (words, labels)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])


def _run(side: str, problem: str) -> dict[str, float]:
    """Judge once in this process, from a cold start but for the imports."""
    from jax.test_util import check_grads

    from jax_backprop import check_gradient

    loss, params, batch = made(problem)
    params = jax.tree.map(jnp.asarray, params)
    started, spent = time.perf_counter(), time.process_time()
    if side == "referee":
        assert check_gradient(loss, jax.grad(loss), params, *batch).passed
    else:
        with jax.enable_x64(True):
            wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
            check_grads(lambda p: loss(p, *batch), (wide,), order=1, modes=("rev",))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - started
    return {"s": seconds, "cpu s": time.process_time() - spent, "MB": peak}


if __name__ == "__main__":
    print(json.dumps(_run(*sys.argv[1:])))
