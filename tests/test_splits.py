"""Seeds at one split, splits of one data set, fresh data: what intervals and p are over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_tuned import runs

from jax_backprop import Grid, InputError
from jax_backprop.study import answer, paired_difference
from jax_backprop.study.power import power
from jax_backprop.study.runs import by_unit, design, distinct
from jax_backprop.study.summary import Summary, best_rates, summarize_rates
from jax_backprop.study.tuned import against_control

STUDIES, SPLITS, SEEDS = 200, 10, 2
EXAMPLES, TEST, TRAIN = 300, 60, 210


def fresh(generator: np.random.Generator) -> np.ndarray:
    """Two networks on coin flips: a difference that each split's data decide, and seeds' noise."""
    return generator.normal(size=(SPLITS, 1)) + 0.3 * generator.normal(size=(SPLITS, SEEDS))


def resplit(generator: np.random.Generator) -> np.ndarray:
    """Two models, each the train mean of a feature of its own, judged on test; none is better."""
    features = generator.normal(size=(2, EXAMPLES))
    found = []
    for _ in range(SPLITS):
        order = generator.permutation(EXAMPLES)
        train, test = features[:, order[:TRAIN]], features[:, order[-TEST:]]
        losses = ((test - train.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)
        found.append(losses[0] - losses[1] + 0.01 * generator.normal(size=SEEDS))
    return np.array(found)


def share_found(draw: Callable[[np.random.Generator], Any], overlap: float) -> float:
    """Return the share of simulated studies without an effect whose p is at most 0.05."""
    generator = np.random.default_rng(4)
    hits = 0
    for _ in range(STUDIES):
        differences = draw(generator).mean(axis=1)
        found = paired_difference(differences, np.zeros(SPLITS), overlap=overlap)
        hits += found.p_value <= 0.05
        assert (found.p_value <= 0.05) == (not found.low <= 0 <= found.high)
        assert found.approximate == (overlap > 0)
    return hits / STUDIES


def test_false_findings_are_nominal_over_splits_and_not_over_seeds_of_one() -> None:
    assert share_found(fresh, 0.0) <= 0.08
    assert share_found(resplit, TEST / TRAIN) <= 0.08
    assert share_found(resplit, 0.0) > 0.15, "re-splits overlap: the sign-flip test isn't exact"
    generator, hits = np.random.default_rng(5), 0
    for _ in range(STUDIES):  # ten seeds at the first split alone
        differences = generator.normal() + 0.3 * generator.normal(size=SPLITS)
        hits += paired_difference(differences, np.zeros(SPLITS)).p_value <= 0.05
    assert hits / STUDIES > 0.4


def test_the_corrected_t_by_hand() -> None:
    differences = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = paired_difference(differences, np.zeros(6), overlap=2 / 7)
    reach = 2.5705818 * np.sqrt((1 / 6 + 2 / 7) * 3.5)  # t of 5 degrees of freedom, 95%
    np.testing.assert_allclose([found.low, found.high], [3.5 - reach, 3.5 + reach], rtol=1e-6)
    assert found.mean == 3.5 and 0.03 < found.p_value < 0.05
    alike = paired_difference(np.full(6, 0.1), np.zeros(6), overlap=0.3)
    assert alike.p_value == 2 / 64, "no fewer than the signs allow, though they don't vary"
    few = paired_difference(np.arange(1.0, 6.0), np.zeros(5), overlap=0.3)
    assert few.p_value > 0.05 and (few.low, few.high) == (-np.inf, np.inf)
    lost = paired_difference(np.array([*differences[:5], np.nan]), np.zeros(6), overlap=0.3)
    assert lost.mean == np.inf and lost.high == np.inf and 0 < lost.p_value < 1


def splits_of(name: str, best: float, at_best: float, count: int = 6) -> Any:
    parts = []
    for split in range(count):
        part = runs(name, best, range(2), at_best=at_best)
        noise = 0.01 * np.random.default_rng([split, len(name)]).normal(size=len(part))
        parts.append(part.assign(split_seed=split, test_loss=part["test_loss"] + noise))
    return pd.concat(parts, ignore_index=True)


def summary_of_splits(dataset: str) -> Summary:
    cells = pd.concat([splits_of("a", 1.0, 0.5), splits_of("bb", 10.0, 0.3)], ignore_index=True)
    axes = ["learning_rate", "schedule", "seed", "split_seed"]
    identity = {"axes": axes, "train_examples": 700, "test_examples": 200}
    manifest = {"identity": identity, "study": {"dataset": dataset, "loss": "x"}}
    how = design(manifest, cells)
    rates = summarize_rates(cells, how.overlap)
    settings = {name: {"schedule": name} for name in ("a", "bb")}
    return Summary(manifest, cells, None, rates, best_rates(rates), settings, how)


def test_splits_are_paired_their_seeds_averaged_first() -> None:
    found = summary_of_splits("digits")
    (contrast,) = against_control(found)
    assert (contrast.unit, contrast.pairs, contrast.runs) == ("split", 6, 12)
    cells = found.cells
    means = []
    for side in (contrast.series, contrast.control):
        mine = cells[cells["series"] == side.series]
        mine = mine[mine["learning_rate"] == side.learning_rate]
        means.append(mine.groupby("split_seed")["test_loss"].mean().to_numpy())
        np.testing.assert_allclose(side.test_loss, means[-1].mean())
    loss = contrast.test_loss
    assert loss is not None and loss.approximate and loss.pairs == 6
    np.testing.assert_allclose(loss.mean, np.mean(means[0] - means[1]))
    np.testing.assert_allclose(loss.mean, contrast.series.test_loss - contrast.control.test_loss)
    assert found.design.overlap == pytest.approx(2 / 7)
    assert "over 6 splits (2 seeds each), approximate" in answer(found)[-1]
    drawn = summary_of_splits("noise:60,6,2")
    assert drawn.design.kind == "fresh" and drawn.design.overlap == 0
    assert "over 6 splits (2 seeds each) of fresh data" in answer(drawn)[-1]
    (exact,) = against_control(drawn)
    assert exact.test_loss is not None and not exact.test_loss.approximate
    width = [s.best[0].test_loss.high - s.best[0].test_loss.low for s in (found, drawn)]
    np.testing.assert_allclose(width[0], width[1] * np.sqrt(1 + 6 * 2 / 7))


def test_a_lost_seed_loses_its_split_and_a_repeated_run_is_refused() -> None:
    cells = splits_of("a", 1.0, 0.5)
    cells.loc[0, "test_loss"] = np.inf
    values, present = by_unit(cells, ["learning_rate"], "test_loss")
    assert np.isnan(values.iloc[0, 0]) and present.iloc[0, 0] and np.isfinite(values.iloc[0, 1])
    manifest = {"data": {"0": "x", "1": "y", "2": "x", "3": "z", "4": "w", "5": "v"}}
    kept = distinct(manifest, cells)
    assert sorted(kept["split_seed"].unique()) == [0, 1, 3, 4, 5], "2 has the data of 0"
    with pytest.raises(InputError, match="1 runs that are there twice, such as series a"):
        distinct({}, pd.concat([cells, cells.iloc[:1]]))


def test_power_is_said_before_a_study_runs() -> None:
    def said(**axes: Any) -> str:
        return power(Grid({"learning_rate": (0.1, 1.0), **axes}).cells())

    assert said(seed=range(5)) == "5 seeds, one series: nothing is compared"
    five = said(seed=range(5), l2=(0.0, 0.1, 0.2))
    assert five.startswith("5 seeds can't reach p below 0.12 in 2 comparisons")
    assert five.endswith("nothing here can be a finding at 0.05; 7 would do")
    assert said(seed=range(7), l2=(0.0, 0.1, 0.2)).startswith("7 seeds can reach p = 0.031 in 2")
    splits = said(seed=range(50), split_seed=range(3), l2=(0.0, 0.1))
    assert splits.startswith("3 splits can't reach p below 0.25 in 1 comparison")
