"""Whole studies on the card: a million tiny networks, and the learning-rate study on MNIST."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gpu_sheet import Sheet

from jax_backprop import Dataset, Grid, Network, Schedule, Study, make_dataset
from jax_backprop.engine import Options, run_study, sweep

CALLS = ("start", "segment", "finish")


def trainability_map(sheet: Sheet) -> None:
    """Time a million networks of 16-16-2, 200 steps each, stored."""
    side = 64 if sheet.small else 1024
    study = Study.model_validate(
        {
            "title": "Map",
            "question": "How long?",
            "dataset": "noise:16,16,2",
            "hidden_sizes": [16],
            "activation": "tanh",
            "loss": "squared_error",
            "epochs": 200,
            "curves": "none",
            "axes": {
                "layer_factors.0": {"low": 1e-1, "high": 1e3, "count": side},
                "layer_factors.1": {"low": 1e-2, "high": 1e1, "count": side},
            },
        }
    )
    for time_of in ("cold", "warm"):
        name = f"map of {side * side:,} networks, {time_of}"
        if sheet.spent(name):
            continue
        with tempfile.TemporaryDirectory() as folder, _seconds_in_calls() as calls:
            started = time.perf_counter()
            run_study(study, Path(folder) / "map", Options())
            seconds = time.perf_counter() - started
        sheet.add(name, seconds, "s", networks=side * side, **calls)


@contextlib.contextmanager
def _seconds_in_calls() -> Iterator[dict[str, float]]:
    """Time what a study spends in its compiled programs, where the engine has them by these names.

    Waiting for a result counts; planning, tables and files don't.
    """
    try:
        from jax_backprop.engine.program import Program
    except ImportError:
        yield {}
        return
    originals = {name: getattr(Program, name) for name in CALLS if hasattr(Program, name)}
    found = {f"{name}_s": 0.0 for name in originals}

    def timed(name: str) -> Any:
        def run(*args: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return originals[name](*args, **named)
            finally:
                found[f"{name}_s"] += time.perf_counter() - started

        return run

    try:
        for name in originals:
            setattr(Program, name, timed(name))
        yield found
    finally:
        for name, original in originals.items():
            setattr(Program, name, original)


def mnist(sheet: Sheet) -> None:
    """Time the learning-rate study on MNIST: 33 rates, 3 schedules, 5 seeds of 784-128-10."""
    if sheet.mnist is None:
        sheet.skip("all of it", "no folder is given with the four original files (MNIST=FOLDER)")
        return
    data = _read_mnist(sheet.mnist, 35 if sheet.small else 1)
    network = Network(layer_sizes=(784, 128, 10))
    grid = Grid(
        {
            "learning_rate": tuple(np.logspace(-2, 2, 5 if sheet.small else 33).tolist()),
            "schedule": (
                Schedule(name="constant"),
                Schedule(name="cosine"),
                Schedule(name="warmup_cosine"),
            ),
            "seed": tuple(range(1 if sheet.small else 5)),
        }
    )
    settings: dict[str, Any] = {"batch_size": 128, "epochs": 1 if sheet.small else 10}
    for time_of, precision in (("cold", "highest"), ("warm", "highest"), ("cold", "default")):
        if sheet.spent(f"{time_of}, {precision}"):
            continue
        settings["matmul_precision"] = precision
        started = time.perf_counter()
        cells = sweep(None, data, grid, network=network, **settings).cells
        seconds = time.perf_counter() - started
        sheet.add(
            f"study of {grid.size} networks on MNIST, {precision}, {time_of}",
            seconds,
            "s",
            split=", ".join(f"{len(s.labels)}" for s in (data.train, data.validation, data.test)),
            least_validation_loss=float(np.nanmin(cells["validation_loss"].to_numpy())),
            highest_test_accuracy=float(np.nanmax(cells["test_accuracy"].to_numpy())),
        )


def _read_mnist(folder: Path, every: int) -> Dataset:
    """Read the original files without tensorflow-datasets, which a GPU's image may lack."""

    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=header)

    splits = [
        (
            read(f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 784)[::every],
            read(f"{name}-labels-idx1-ubyte.gz", 8)[::every].astype(np.int64),
        )
        for name in ("train", "t10k")
    ]
    return make_dataset(*splits[0], test=splits[1], name="mnist")
