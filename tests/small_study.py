"""A study that is quick to compile, for tests of what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import Batch, Dataset, Grid, make_dataset
from jax_backprop.engine import Options, SweepProgress, Tables, sweep, tiles
from jax_backprop.storage import file_sha256

AXES = {"learning_rate": (0.1, 0.2, 0.4), "seed": tuple(range(12))}


def init(key: jax.Array) -> dict[str, jax.Array]:
    return {"weights": jax.random.normal(key, (6, 3))}


def value_and_grad(params: dict[str, jax.Array], batch: Batch) -> tuple[jax.Array, Any]:
    """Squared error of a linear map: quick to compile, which most of these tests wait for."""
    errors = batch.inputs @ params["weights"] - jax.nn.one_hot(batch.labels, 3)
    grads = {"weights": batch.inputs.T @ errors / len(errors)}
    return 0.5 * jnp.mean(jnp.sum(errors**2, axis=1)), grads


def data() -> Dataset:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(150, 6)).astype(np.float32)
    return make_dataset(inputs, np.arange(150) % 3, name="noise")


def go(folder: Path | None, options: Options | None = None, axes: dict = AXES, **changes) -> Tables:
    settings = {"batch_size": 10, "epochs": 2} | changes
    options = options or Options(devices=jax.devices()[:2])
    functions = {"value_and_grad": value_and_grad, "out": folder, "options": options}
    return sweep(init, data(), Grid(axes), **functions, **settings)


def parts(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every part."""
    files = [p for kind in ("cells", "curves") for p in sorted((folder / kind).glob("*.parquet"))]
    return {str(path.relative_to(folder)): file_sha256(path) for path in files}


def stop_after(cells: int) -> Options:
    """Return options that end a run once so many cells are done."""
    seen: list[SweepProgress] = []
    return Options(
        on_progress=seen.append, should_stop=lambda: bool(seen) and seen[-1].done_cells >= cells
    )


def make_shards_small(patch: pytest.MonkeyPatch) -> None:
    """Three shards of four tiles for the study above, four cells a tile."""
    patch.setattr(tiles, "CPU", tiles.CPU._replace(shard_work=1.0, shard_tiles=4, widest=4))
