"""Laws of the learning rate: what carries over between widths, and what convex theory foretells."""

from __future__ import annotations

from pathlib import Path

import convex
import numpy as np
import pytest
import transfer
from convex import Bound, Trained, agreement, bound, carried_rates
from transfer import carried, sentences, table, write_transfer

import jax_backprop as jb
from jax_backprop.engine import load_study
from jax_backprop.study import summarize

STEPS = np.arange(100)
SHAPES = {
    "constant": np.ones(100),
    "cosine": 0.1 + 0.45 * (1 + np.cos(STEPS / 99 * np.pi)),
    "wsd": np.minimum(1, (99 - STEPS) / 20)[:99],
}


@pytest.mark.parametrize(
    ("name", "rate", "value"),
    # compute_optimal_base of fabian-sp/lr-scheduling at commit 3fdcc7a7d05a, for G = D = 1.
    [
        ("constant", 0.0402344369809, 0.248543306441),
        ("cosine", 0.0894682704148, 0.20322085246),
        ("wsd", 0.0498821614393, 0.223991584066),
    ],
)
def test_the_bound_is_that_of_its_authors_code(name: str, rate: float, value: float) -> None:
    found = bound(SHAPES[name])
    np.testing.assert_allclose((found.rate, found.value), (rate, value), rtol=1e-6)


def test_the_bound_of_a_constant_rate_in_closed_form() -> None:
    """A = 1 / (2 T), b = (1 + H_{T-1}) / 2; and steps at rate 0 in the end change nothing."""
    harmonic = np.sum(1 / np.arange(1, 50))
    assert bound(np.ones(50)).value == pytest.approx(2 * np.sqrt(0.01 * (1 + harmonic) / 2))
    assert bound(np.concatenate([np.ones(50), np.zeros(9)])) == bound(np.ones(50))


def test_ranks_agree_with_theory_where_the_losses_do() -> None:
    """And a rate that theory carries over is off by 1 where the networks' rates are theory's."""
    noise = np.random.default_rng(0).uniform(0.999, 1.001, (6, 8))
    names = ("constant", "a", "b")
    foretold = [Bound(0.1 * (k + 1), 1 / (k + 1)) for k in range(6)]
    rows = [
        Trained(names[k % 3], (10, 20)[k // 3], each, each.rate * noise[k], each.value * noise[k])
        for k, each in enumerate(foretold)
    ]
    seen = agreement(rows, overlap=0.0)
    assert all(each.mean == 1 and each.p_value < 0.05 for each in seen.values())
    theory, same = carried_rates(rows)
    assert theory == pytest.approx(1, abs=0.01) and same > 2
    drawn = convex.chart(rows).to_dict()
    assert [drawn["encoding"][axis]["field"] for axis in "xy"] == ["bound", "loss"]
    points = drawn["datasets"][drawn["data"]["name"]]
    assert points[2]["steps"] == 10 and points[2]["bound"] == pytest.approx(1 / 3)
    assert points[2]["loss"] == pytest.approx(float(np.mean(rows[2].losses)))
    opposite = [row._replace(losses=-row.losses) for row in rows]
    assert agreement(opposite, overlap=0.0)["loss"].mean == -1


def test_what_a_narrow_networks_rate_does_for_a_wide_one(tmp_path: Path) -> None:
    study = jb.Study.model_validate(
        {
            "title": "Widths",
            "question": "Which?",
            "dataset": "noise:60,4,3",
            "epochs": 5,
            "base_width": 4,
            "refine": 1,
            "zip": [["seed", "split_seed"]],
            "axes": {
                "parametrization": ["standard", "mup"],
                "hidden_sizes": [[4], [64]],
                "learning_rate": [0.01, 1.0, 100.0],
                "seed": {"count": 2},
                "split_seed": {"count": 2},
            },
        }
    )
    jb.run_study(study, tmp_path)
    summary = summarize(tmp_path)
    assert "over 2 splits (1 seed each)" in summary.design.over
    rows = carried(summary)
    assert [row.parametrization for row in rows] == ["standard", "mup"]
    cells = load_study(tmp_path).to_pandas()
    for row in rows:
        mine = cells[cells["parametrization"] == row.parametrization]
        wide = mine[mine["hidden_sizes"].map(lambda sizes: list(sizes) == [64])]
        at = [
            wide[wide["learning_rate"] == rate].sort_values("seed")["test_loss"].to_numpy(float)
            for rate in (row.narrow_rate, row.wide_rate)
        ]
        assert row.regret.mean == pytest.approx(float(np.mean(at[0] - at[1])))
        assert row.times == pytest.approx(float(np.median(at[0] / at[1])))
    # At the base width every parametrisation is the standard one, so the narrow rates agree.
    assert rows[0].narrow_rate == rows[1].narrow_rate
    drawn = transfer.chart(summary, rows).to_dict()
    assert [drawn["spec"]["encoding"][axis]["field"] for axis in "xy"] == ["width", "rate"]
    points = {
        (each["parametrization"], each["width"]): each
        for each in drawn["datasets"][drawn["data"]["name"]]
    }
    assert {row.narrow_rate for row in rows} <= {0.01, 1.0, 100.0}, "which both widths have"
    best = {row.series: row.learning_rate for row in summary.best}
    for name, given in summary.settings.items():
        key = given["parametrization"], sum(given["hidden_sizes"])
        assert points[key]["rate"] == best[name]
    assert not set(best.values()) <= {0.01, 1.0, 100.0}, "one was refined"
    heads, lines = table(write_transfer(tmp_path))
    assert len(heads) == len(lines[0]) and (tmp_path / "transfer.svg").exists()
    assert f"costs {rows[1].times:.3g} times the tuned loss" in sentences(rows)[1]
    beside = float(np.median(rows[1].at_narrow_rate / rows[0].at_own_rate))
    assert f"ends at {beside:.3g} times the loss of the standard one" in sentences(rows)[-1]
