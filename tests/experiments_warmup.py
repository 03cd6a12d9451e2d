"""What a warm-up tolerates: on a quadratic in closed form, and in a search's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import warmup
from scipy.optimize import brentq
from warmup import gains, sentences, table, tolerated

import jax_backprop as jb
from jax_backprop.schedules import schedule_shape
from jax_backprop.study import summarize
from jax_backprop.study.searches import search_boundaries


@pytest.mark.parametrize(
    ("share", "known"), [(0.0, 2.0), (0.05, 2.05), (0.1, 2.11), (0.25, 2.32), (0.5, 2.83)]
)
def test_what_a_quadratic_tolerates(share: float, known: float) -> None:
    """At any horizon: share times the mean of log|1 - r u|, u in [0, 1], and the rest at r."""
    schedule = jb.Schedule(name="constant", warmup_fraction=share or None)

    def growth(rate: float) -> float:
        return share * ((rate - 1) / rate * np.log(rate - 1) - 1) + (1 - share) * np.log(rate - 1)

    exact = brentq(growth, 1.5, 10)
    assert exact == pytest.approx(known, abs=0.01)
    assert tolerated(schedule) == pytest.approx(exact, abs=1e-3)
    assert tolerated(schedule, 2_000) == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("name", ["constant", "cosine", "linear"])
def test_a_quadratic_grows_beyond_it(name: str) -> None:
    """The factors of 2,000 steps, multiplied."""
    schedule = jb.Schedule.model_validate({"name": name, "warmup_fraction": 0.2})
    shape = schedule_shape(schedule, 2_000)
    below, above = (
        np.sum(np.log(np.abs(1 - factor * tolerated(schedule, 2_000) * shape)))
        for factor in (0.97, 1.03)
    )
    assert below < -10 and above > 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small search: three schedules, one network, three seeds."""
    study = jb.Study.model_validate(
        {
            "title": "Warm-up",
            "question": "How much?",
            "dataset": "noise:40,4,3",
            "hidden_sizes": [4],
            "steps": 40,
            "curves": "none",
            "sharpness_iterations": 4,
            "axes": {
                "loss": ["squared_error"],
                "schedule": [
                    {"name": "cosine", "warmup_fraction": 0.25},
                    "constant",
                    {"name": "constant", "warmup_fraction": 0.5},
                ],
                "learning_rate": {"low": 0.3, "high": 30, "points_per_decade": 3},
                "seed": {"count": 3},
            },
        }
    )
    path = tmp_path_factory.mktemp("warmup") / "search"
    search_boundaries(study, path, resolution=0.25)
    return path


def test_each_schedule_is_paired_with_the_constant_one(folder: Path) -> None:
    summary = summarize(folder)
    found = {(row.shape, row.warmup): row for row in gains(summary)}
    base, warm = found["constant", 0.0], found["constant", 0.5]
    assert base.failure.mean == base.best.mean == base.quadratic == 0
    cells = summary.cells
    rates = {}
    for key, half in (("base", 0.0), ("warm", 0.5)):
        mine = cells[
            (cells["schedule"] == "constant") & (cells["schedule.warmup_fraction"] == half)
        ]
        rates[key] = warmup.of_each_run(mine).sort_values("seed")["rate_diverged"].to_numpy()
    ratio = np.log10(rates["warm"] / rates["base"])
    assert warm.failure.mean == pytest.approx(ratio.mean())
    assert warm.rates["rate_diverged"] == pytest.approx(np.median(rates["warm"]))
    assert 10**warm.quadratic == pytest.approx(2.835 / 2, abs=1e-3)
    heads, rows = table(list(found.values()))
    assert rows[1][heads.index("network")] == "squared error" and len(rows) == 3
    drawn = warmup.chart(list(found.values())).to_dict()
    points = next(iter(drawn["datasets"].values()))
    told = {(p["warm-up"], p["what"]): p["rate"] for p in points}
    assert told[0.5, "failure"] == pytest.approx(warm.rates["rate_diverged"])
    quadratic = told[0.5, "failure, if as on a quadratic"]
    assert quadratic == pytest.approx(base.rates["rate_diverged"] * 2.835 / 2, rel=1e-3)


def test_the_decay_is_told_apart(folder: Path) -> None:
    summary = summarize(folder)
    found = gains(summary)
    alone = next(row for row in found if row.shape == "cosine")
    said = sentences([*found, alone._replace(warmup=0.0, quadratic=0.0)])
    assert len(said) == 2 and "a warm-up of 50%" in said[0] and "a cosine alone" in said[1]
