"""Series at their own tuned rates: against the control, across two studies, and widened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jax_backprop import InputError
from jax_backprop.study import (
    Summary,
    against_control,
    answer,
    best_rates,
    compare_studies,
    disagreements,
    sensitivities,
    summarize_rates,
)
from jax_backprop.study.runs import design
from jax_backprop.study.sensitivity import even_rates
from jax_backprop.study.series import series
from jax_backprop.study.summary import axis_order

RATES = np.geomspace(1e-3, 1e3, 25)  # 4 a decade


def runs(name: str, best: float, seeds: Any, *, at_best: float = 0.5, **columns: Any) -> Any:
    """Return cells of a series whose loss is a parabola in log rate, a little off by seed."""
    noise = np.random.default_rng([len(name), 7]).normal(0, 0.01, size=1000)
    rows = [
        {
            "series": name,
            "schedule": name,
            "learning_rate": rate,
            "seed": seed,
            "validation_loss": at_best + 0.1 * np.log10(rate / best) ** 2 + noise[seed],
            "test_loss": at_best + 0.2 + noise[seed + 100],
            "train_loss": at_best,
            "validation_accuracy": 0.9,
            "test_accuracy": 0.9 - at_best / 10 + noise[seed + 200],
            "loss_at_start": 1.0,
            "outcome": "monotone",
            "nothing_learned": False,
            **columns,
        }
        for rate in RATES
        for seed in seeds
    ]
    return pd.DataFrame(rows)


def summary(*parts: Any, **study: Any) -> Summary:
    cells = pd.concat(parts, ignore_index=True)
    axes = ["learning_rate", "schedule", "seed"]
    manifest = {
        "identity": {"axes": axes, "data_checksum": study.pop("checksum", "same")},
        "study": {"loss": "softmax_cross_entropy", "axes": {key: [1] for key in axes}, **study},
    }
    rates = summarize_rates(cells)
    settings = {name: {"schedule": name} for name in dict.fromkeys(cells["series"])}
    how = design(manifest, cells)
    return Summary(manifest, cells, None, rates, best_rates(rates), settings, how)


def test_each_series_at_its_own_rate_against_the_first() -> None:
    found = summary(
        runs("constant", 1.0, range(8)),
        runs("better", 10.0, range(8), at_best=0.3),
        runs("alike", 1e-1, range(8)),
    )
    better, alike = against_control(found)
    assert better.series.learning_rate == pytest.approx(10)
    assert better.control.learning_rate == pytest.approx(1)
    at_best = {
        name: part[np.isclose(part["learning_rate"], rate)].set_index("seed")
        for (name, part), rate in zip(
            found.cells.groupby("series", sort=False), [1.0, 10.0, 0.1], strict=True
        )
    }
    losses = at_best["better"]["test_loss"] - at_best["constant"]["test_loss"]
    theirs = stats.permutation_test(
        (losses.to_numpy(),), np.mean, permutation_type="samples", n_resamples=10_000
    )
    assert better.test_loss is not None and better.test_score is not None
    np.testing.assert_allclose(better.test_loss.mean, losses.mean())
    np.testing.assert_allclose(better.test_loss.p_value, theirs.pvalue)
    assert better.test_loss.adjusted_p == 2 * better.test_loss.p_value  # Holm over two
    accuracy = at_best["better"]["test_accuracy"] - at_best["constant"]["test_accuracy"]
    np.testing.assert_allclose(better.test_score.mean, accuracy.mean())
    assert 0 < better.test_score.low <= accuracy.mean() <= better.test_score.high
    assert alike.test_loss is not None and alike.test_loss.p_value > 0.05
    compared = next(line for line in answer(found) if line.startswith("Paired by seed"))
    assert "better -0.2" in compared and "Holm p" in compared
    assert "beyond chance (Holm p at most 0.05) in 1 of 2 series" in compared


def test_seeds_that_one_series_lacks_are_left_out_and_counted() -> None:
    found = summary(
        runs("constant", 1.0, range(8)), runs("few", 1.0, [2, 3, 4, 5, 6, 7, 20], at_best=0.3)
    )
    some = found.cells[
        (found.cells["series"] == "few") & np.isclose(found.cells["learning_rate"], 1)
    ]
    own = stats.trim_mean(some["validation_loss"], 0.25)
    # A run that isn't there is none that failed.
    np.testing.assert_allclose(found.best[1].loss, own, rtol=1e-12)
    assert [row.seeds for row in found.best] == [8, 7]
    (few,) = against_control(found)
    assert (few.pairs, few.unpaired) == (6, 3)
    assert few.test_loss is not None and few.test_loss.pairs == 6
    (none,) = against_control(summary(runs("a", 1.0, [0, 1]), runs("b", 1.0, [2, 3])))
    assert none.test_loss is None and none.test_score is None and none.pairs == 0
    assert against_control(summary(runs("alone", 1.0, [0, 1]))) == []


def test_losses_of_another_kind_are_not_compared() -> None:
    found = summary(
        runs("a", 1.0, range(6), loss="softmax_cross_entropy"),
        runs("b", 1.0, range(6), loss="squared_error", at_best=0.3),
    )
    (other,) = against_control(found)
    assert other.test_loss is None
    assert other.test_score is not None and other.test_score.mean > 0


def test_diverged_runs_are_counted_and_worse_than_any() -> None:
    worst = runs("worse", 1.0, range(8))
    lost = (worst["seed"] == 3) & np.isclose(worst["learning_rate"], 1.0)
    worst.loc[lost, ["test_loss", "validation_loss", "test_accuracy"]] = np.nan
    worst.loc[lost, "outcome"] = "diverged"
    (found,) = against_control(summary(runs("constant", 1.0, range(8)), worst))
    assert found.diverged == (1, 0)
    assert found.test_loss is not None and found.test_loss.mean == np.inf
    assert found.test_score is not None and found.test_score.mean == -np.inf


def test_sensitivity_leaves_refinements_out() -> None:
    plain, refined = runs("plain", 1.0, range(4)), runs("refined", 1.0, range(4))
    near = refined[np.isclose(refined["learning_rate"], 1.0)]
    between = [near.assign(learning_rate=rate) for rate in (0.9, 1.1, 1.3)]
    few = runs("few", 1.0, range(4))
    few = few[few["learning_rate"].isin(RATES[[12]])]
    two = runs("two", 1.0, range(4))
    two = two[two["learning_rate"].isin(RATES[[12, 13]])]
    gap = runs("gap", 1.0, range(4))
    gap = gap[~((gap["seed"] == 3) & np.isclose(gap["learning_rate"], 10.0))]
    found = sensitivities(summary(plain, refined, *between, few, two, gap))
    assert found["plain"].status == found["refined"].status == "covered"
    places = np.arange(-6, 7) / 4  # the window of three decades
    np.testing.assert_allclose(found["plain"].mean, (0.1 * places**2).mean())
    np.testing.assert_allclose(found["plain"].mean, found["refined"].mean)
    assert found["few"].status == "one rate" and found["two"].status == "uneven rates"
    assert len(found["gap"].by_seed) == 3, "the seeds that ran at all rates"


def test_even_rates() -> None:
    np.testing.assert_array_equal(even_rates(RATES), RATES)
    more = np.sort([0.0, *RATES, 0.9, 0.95, 1.01, 1.02])
    np.testing.assert_array_equal(even_rates(more), RATES)
    inner = np.geomspace(0.1, 10, 65)  # a finer grid within: the coarse one spans more
    both = np.unique(np.concatenate([RATES, inner]).round(12))
    np.testing.assert_allclose(even_rates(both), RATES)
    np.testing.assert_allclose(even_rates(inner), inner)
    assert len(even_rates(np.array([0.0]))) == 0 and len(even_rates(np.array([1.0, 2.0, 5.0]))) < 3


def test_series_are_named_in_the_order_of_the_file() -> None:
    cells = pd.DataFrame({"schedule": ["constant"], "optimizer": ["adam"], "l2": [0.001]})
    manifest = {
        "identity": {"axes": ["l2", "learning_rate", "optimizer", "schedule"]},
        "study": {"axes": {"learning_rate": [1], "schedule": [], "optimizer": [], "l2": []}},
    }
    assert series(cells, axis_order(manifest)).names == ["constant, adam, l2=0.001"]


def test_series_are_told_apart_by_data_and_named_with_as_many_digits_as_that_takes() -> None:
    cells = pd.DataFrame(
        {
            "schedule": ["mine", "mine", "cosine", "cosine", "mine"],
            "schedule.hash": ["aa11", "bb22", None, None, "aa11"],
            "schedule.final_fraction": [np.nan, np.nan, 0.0, 0.1, np.nan],
            "l2": [0.1234567, 0.1234567, 0.1234567, 0.12345674, 0.1234567],
            "hidden_sizes": [(8,), (8,), (8, 8), (8,), (8,)],
            "batch_size": [np.nan, 8, np.nan, np.nan, np.nan],
        }
    )
    found = series(cells, ["schedule", "seed", "l2", "hidden_sizes", "batch_size"])
    assert found.codes.tolist() == [0, 1, 2, 3, 0]
    assert found.names[1:3] == [
        "mine, l2=0.123457, hidden_sizes=8, batch_size=8",
        "cosine, l2=0.123457, hidden_sizes=8-8, batch_size=full",
    ]
    alone = series(cells[["l2"]], ["l2"])
    assert alone.names == ["l2=0.1234567", "l2=0.12345674"]
    assert series(cells, ["schedule"]).names == [
        "mine#aa11",
        "mine#bb22",
        "cosine",
        "cosine(final_fraction=0.1)",
    ]


def test_two_studies_series_by_series() -> None:
    first = summary(runs("constant", 1.0, range(8)), runs("cosine", 1.0, range(8)), epochs=5)
    second = summary(
        runs("cosine", 1.0, range(2, 10), at_best=0.3), runs("other", 1.0, range(8)), epochs=9
    )
    (found,) = compare_studies(first, second)
    assert (found.series.series, found.control.series) == ("cosine", "cosine")
    assert found.test_loss is not None and found.test_loss.mean < 0, "B minus A"
    assert (found.pairs, found.unpaired) == (6, 4)
    assert ("epochs", "5", "9") in disagreements(first, second)
    assert disagreements(first, first) == []


def test_axes_that_differ_are_told_in_every_form() -> None:
    first = summary(runs("constant", 1.0, range(8)))
    forms = {
        "seed": {"count": 3},
        "schedule": {"name": "cosine", "final_fraction": 0.1},
        "l2": {"low": 0.1, "high": 10.0, "points_per_decade": 4},
        "loss": "squared_error",
        "batch_size": [8, "full"],
        "init_scale": 0.5,
    }
    study = {**first.study, "axes": {**first.study["axes"], **forms}}
    second = replace(first, manifest={**first.manifest, "study": study})
    told = {each.field: each.second for each in disagreements(first, second)}
    assert told == {
        "seed": "axis: 3 from 0",
        "schedule": "axis: cosine(final_fraction=0.1)",
        "l2": "axis: 0.1 to 10, 4 a decade",
        "loss": "axis: squared_error",
        "batch_size": "axis: 8, full",
        "init_scale": "axis: 0.5",
    }


def test_two_studies_without_a_common_series_compare_their_best() -> None:
    first = summary(runs("a", 1.0, range(6)), runs("b", 1.0, range(6), at_best=0.4))
    second = summary(runs("c", 1.0, range(6), at_best=0.2), runs("d", 1.0, range(6)))
    (found,) = compare_studies(first, second)
    assert (found.control.series, found.series.series) == ("b", "c")
    with pytest.raises(InputError, match=r"data: got .* expected two studies of the same examples"):
        compare_studies(first, summary(runs("a", 1.0, range(6)), checksum="another"))
    with pytest.raises(InputError, match="seeds: got 6 seeds from 0 to 5 and 2 seeds from 8 to 9"):
        compare_studies(first, summary(runs("a", 1.0, [8, 9])))
