"""What a GPU's arithmetic costs: distance from float64, from the CPU, and from itself."""

from __future__ import annotations

import hashlib
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gpu_sheet import Sheet, on_gpu

from jax_backprop import (
    Batch,
    Network,
    Study,
    check_value_and_grad,
    init_params,
    loss,
    value_and_grad,
)
from jax_backprop.engine import Options, load_tables, run_study

EPS = float(np.finfo(np.float32).eps)
SETTINGS = {"default": {}, "highest": {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}}
FLAGS = ("", "--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")
TRAINS = 4.0  # the largest rate at which the small study's networks train


def correctness(sheet: Sheet) -> None:
    """Measure the float32 gradient's distance from float64 by precision; then ask the referee."""
    for sizes, examples in (((64, 32, 10), 1257), ((784, 128, 10), 256 if sheet.small else 4096)):
        network = Network(layer_sizes=sizes)
        batch = _random_batch(sizes[0], examples)
        params = init_params(network, key=jax.random.key(0))
        label = "-".join(map(str, sizes))
        exact = _exact_gradient(network, params, batch)
        for precision in (None, "tensorfloat32", "highest"):
            with jax.default_matmul_precision(precision):
                by_hand = jax.jit(partial(value_and_grad, network=network))(params, batch)[1]
                autodiff = jax.jit(jax.grad(partial(loss, network=network)))(params, batch)
            for who, gradient in (("by hand", by_hand), ("autodiff", autodiff)):
                gap = _farthest(gradient, exact)
                name = f"gradient, {label}, {precision or 'default'}, {who}, from float64"
                sheet.add(name, gap, "relative", eps=gap / EPS)
    network = Network(layer_sizes=(64, 32, 10))
    params = init_params(network, key=jax.random.key(0))
    started = time.perf_counter()
    report = check_value_and_grad(
        partial(loss, network=network),
        partial(value_and_grad, network=network),
        params,
        _random_batch(64, 32),
    )
    seconds = time.perf_counter() - started
    sheet.add("the referee passes, 64-32-10", report.passed, "yes or no", seconds=seconds)


def _random_batch(features: int, examples: int) -> Batch:
    generator = np.random.default_rng(0)
    inputs = generator.random((examples, features), np.float32)
    labels = generator.integers(0, 10, examples).astype(np.int32)
    return Batch(jnp.asarray(inputs), jnp.asarray(labels))


def _exact_gradient(network: Network, params: Any, batch: Batch) -> Any:
    with jax.enable_x64(True):
        params, batch = jax.tree.map(_widened, (params, batch))
        return jax.tree.map(np.asarray, jax.grad(partial(loss, network=network))(params, batch))


def _widened(leaf: jax.Array) -> jax.Array:
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.asarray(leaf, jnp.float64) if floating else leaf


def _farthest(gradient: Any, exact: Any) -> float:
    """Return the largest relative distance of a leaf."""
    gaps = jax.tree.map(
        lambda leaf, true: (
            np.linalg.norm(np.asarray(leaf, np.float64) - true) / np.linalg.norm(true)
        ),
        gradient,
        exact,
    )
    return max(map(float, jax.tree.leaves(gaps)))


def bits(sheet: Sheet) -> None:
    """Hash a small study: twice in one process, then in others, each flag in two processes."""
    first, again = _hash(), _hash()
    unit = "first digits of a SHA-256"
    sheet.add("study's bits, no flags, process 1", first, unit, flags="", again=again)
    for flags in FLAGS if on_gpu() else FLAGS[:1]:
        for process in (1, 2) if flags else (2,):
            name = f"study's bits, {flags or 'no flags'}, process {process}"
            if sheet.spent(name):
                continue
            environment = {"XLA_FLAGS": flags} if flags else {}
            (row,) = sheet.child("study_hash", JAX_ENABLE_COMPILATION_CACHE="false", **environment)
            sheet.add(name, row["value"], unit, flags=flags)


def study_hash(sheet: Sheet) -> None:
    """Note the small study's hash."""
    sheet.add("study's bits", _hash(), "first digits of a SHA-256")


def _hash() -> str:
    with tempfile.TemporaryDirectory() as folder:
        run_study(_small_study(), Path(folder) / "study", Options())
        parts = sorted((Path(folder) / "study").rglob("*.parquet"))
        return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]


def distances(sheet: Sheet) -> None:
    """Measure how far the small study's losses lie from the CPU's, by precision."""
    cpu = _losses_there(sheet, JAX_PLATFORMS="cpu")
    for name, environment in SETTINGS.items():
        here = _losses_there(sheet, **environment)
        gaps = np.abs(here[:, 1] - cpu[:, 1]) / cpu[:, 1]
        calm = gaps[cpu[:, 0] <= TRAINS]
        sheet.add(
            f"validation loss after 3 epochs, {name}, from the CPU's, rates to {TRAINS:g}",
            float(np.median(calm)),
            "relative, median",
            worst=float(calm.max()),
            worst_at_all_rates=float(gaps.max()),
        )


def _losses_there(sheet: Sheet, **environment: str) -> np.ndarray:
    (row,) = sheet.child("study_losses", **environment)
    return np.asarray(row["value"])


def study_losses(sheet: Sheet) -> None:
    """Note the small study's rates and validation losses."""
    with tempfile.TemporaryDirectory() as folder:
        run_study(_small_study(), Path(folder) / "study", Options(tile_width=8))
        cells = load_tables(Path(folder) / "study").cells
    pairs = np.stack([cells[name].to_numpy() for name in ("learning_rate", "validation_loss")], 1)
    sheet.add("rates and losses", pairs.tolist(), "nats")


def _small_study() -> Study:
    return Study.model_validate(
        {
            "title": "Bits",
            "question": "The same?",
            "dataset": "digits",
            "hidden_sizes": [32],
            "batch_size": 32,
            "epochs": 3,
            "axes": {
                "learning_rate": {"low": 1e-2, "high": 1e1, "count": 40},
                "seed": {"count": 4},
            },
        }
    )
