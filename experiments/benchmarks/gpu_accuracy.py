"""What a GPU's arithmetic costs: distance from float64, from the CPU, and from itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gpu_sheet import Sheet

from jax_backprop import (
    Batch,
    Network,
    Study,
    check_value_and_grad,
    init_params,
    loss,
    value_and_grad,
)
from jax_backprop.engine import Options, load_tables, run_study, tiles
from jax_backprop.engine.progress import SweepProgress

EPS = float(np.finfo(np.float32).eps)
PRECISIONS = ("highest", "default")
PROCESSES = 3
# What a process of its own is told by.
FOLDER, PRECISION = "GPU_BENCHMARK_FOLDER", "GPU_BENCHMARK_PRECISION"
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
    """Hash a small study: twice in one process, in others, and after a kill."""
    unit = "first digits of a SHA-256"
    sheet.add("study's bits, this process", _hash(), unit, again=_hash())
    fresh = {"JAX_ENABLE_COMPILATION_CACHE": "false"}  # a program of its own in each process
    for process in range(1, PROCESSES):
        name = f"study's bits, process {process}"
        if sheet.spent(name):
            continue
        (row,) = sheet.child("study_hash", **fresh)
        sheet.add(name, row["value"], unit)
    if sheet.spent("after a kill"):
        return
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(RuntimeError):  # that is how a killed process ends
            sheet.child("killed_study", **fresh, **{FOLDER: folder})
        kept = len(list(Path(folder).rglob("*.parquet")))
        sheet.add("study's bits, after a kill", _hash(Path(folder)), unit, parts_kept=kept)


def study_hash(sheet: Sheet) -> None:
    """Note the small study's hash."""
    sheet.add("study's bits", _hash(), "first digits of a SHA-256")


def killed_study(_: Sheet) -> None:
    """Run the small study into a folder, and kill this process when half of it is there."""

    def kill(progress: SweepProgress) -> None:
        if progress.done_cells >= progress.total_cells / 2:
            os.kill(os.getpid(), signal.SIGKILL)

    _run_small(Path(os.environ[FOLDER]), Options(tile_width=8, on_progress=kill))


def _hash(folder: Path | None = None) -> str:
    """Return the hash of the small study's parts; what a folder holds of it isn't run again."""
    with tempfile.TemporaryDirectory() as fresh:
        place = folder or Path(fresh)
        _run_small(place, Options(tile_width=8))
        parts = sorted((place / "study").rglob("*.parquet"))
        return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]


def _run_small(folder: Path, options: Options) -> None:
    """Run the small study in parts of two tiles, so that there is something to kill between."""
    kept = tiles.CPU, tiles.GPU
    tiles.CPU, tiles.GPU = (room._replace(shard_work=1.0, shard_tiles=2) for room in kept)
    try:
        run_study(_small_study(), folder / "study", options)
    finally:
        tiles.CPU, tiles.GPU = kept


def distances(sheet: Sheet) -> None:
    """Measure how far the small study's losses lie from the CPU's, by precision."""
    cpu = _losses_there(sheet, JAX_PLATFORMS="cpu")
    for precision in PRECISIONS:
        here = _losses_there(sheet, **{PRECISION: precision})
        gaps = np.abs(here[:, 1] - cpu[:, 1]) / cpu[:, 1]
        calm = gaps[cpu[:, 0] <= TRAINS]
        sheet.add(
            f"validation loss after 3 epochs, {precision}, from the CPU's, rates to {TRAINS:g}",
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
    precision = os.environ.get(PRECISION, "highest")
    with tempfile.TemporaryDirectory() as folder:
        run_study(_small_study(precision), Path(folder) / "study", Options(tile_width=8))
        cells = load_tables(Path(folder) / "study").cells
    pairs = np.stack([cells[name].to_numpy() for name in ("learning_rate", "validation_loss")], 1)
    sheet.add("rates and losses", pairs.tolist(), "nats")


def _small_study(precision: str = "highest") -> Study:
    return Study.model_validate(
        {
            "title": "Bits",
            "question": "The same?",
            "dataset": "digits",
            "hidden_sizes": [32],
            "batch_size": 32,
            "epochs": 3,
            "matmul_precision": precision,
            "axes": {
                "learning_rate": {"low": 1e-2, "high": 1e1, "count": 40},
                "seed": {"count": 4},
            },
        }
    )
