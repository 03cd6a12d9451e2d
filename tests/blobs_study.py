"""A study of three classes, shared by the tests of its charts and its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jax_backprop import Study
from jax_backprop.engine import run_study
from jax_backprop.study import Summary, summarize
from jax_backprop.study.comparisons import Difference
from jax_backprop.study.rows import Contrast, TunedRow

BATCH = 10


@pytest.fixture(scope="session")
def blobs_study(tmp_path_factory, blobs) -> Path:
    """A study of three classes: two schedules, rates from too small to too large, six seeds."""
    place = tmp_path_factory.mktemp("charts")
    parts = blobs.splits.values()
    arrays = {
        "inputs": np.concatenate([part.inputs for part in parts]),
        "labels": np.concatenate([part.labels for part in parts]),
    }
    np.savez(place / "blobs.npz", **arrays)
    study = {
        "title": "Rates of blobs",
        "question": "Which rate?",
        "dataset": f"npz:{place / 'blobs.npz'}",
        "axes": {
            "learning_rate": {"low": 1e-2, "high": 1e4, "count": 13},
            "schedule": ["constant", "cosine"],
            "seed": {"count": 6},
        },
        "batch_size": BATCH,
        "epochs": 6,
        "hidden_sizes": [4],
        "tile_width": 13,
    }
    run_study(Study.model_validate(study), place / "study")
    return place / "study"


@pytest.fixture(scope="session")
def summary(blobs_study: Path) -> Summary:
    """What that study says."""
    return summarize(blobs_study)


def contrast(series: str, control: str, loss: float, accuracy: float, p: float) -> Contrast:
    def difference(mean: float) -> Difference:
        return Difference(mean, mean - 0.5, mean + 0.25, p / 5, p, 8, (0, 0))

    sides = (TunedRow(name, *[0.0] * 4) for name in (series, control))
    return Contrast(*sides, difference(loss), difference(accuracy), "seed", 8, 0, 8, (0, 0))
