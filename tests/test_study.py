"""What a sweep says: the outcome tree, aggregates, best rates, the answer, the report."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jax_backprop import Study
from jax_backprop.engine import run_study
from jax_backprop.report import write_report
from jax_backprop.report.policy import content_security_policy
from jax_backprop.study import (
    Interval,
    RateRow,
    answer,
    best_rates,
    classify,
    estimate,
    interquartile_mean,
    summarize,
)
from jax_backprop.study.overview import overview


def cells(**columns: list) -> pd.DataFrame:
    rows = len(columns["tail_loss"])
    defaults = {
        "series": ["constant"] * rows,
        "seed": [0] * rows,
        "loss_at_start": [2.0] * rows,
        "rises": [0] * rows,
        "non_finite": [False] * rows,
    }
    return pd.DataFrame(defaults | columns)


def test_the_outcome_tree() -> None:
    table = cells(
        tail_loss=[0.01, 0.02, 0.5, 0.5, 2.1, 0.01, np.nan, 2.0],
        rises=[0, 1, 0, 1, 1, 1, 1, 0],
        non_finite=[False, False, False, False, False, True, True, False],
    )
    found = classify(table)["outcome"].tolist()
    expected = ["monotone", "edge", "slow", "degraded", "diverged", "diverged", "diverged", "slow"]
    assert found == expected


def test_nothing_learned_and_groups_of_their_own() -> None:
    table = cells(tail_loss=[1.9, 1.95, 0.1, 1.5], series=["a", "a", "b", "b"], rises=[0, 0, 0, 0])
    found = classify(table)
    assert found["nothing_learned"].tolist() == [True, True, False, False]
    assert found["outcome"].tolist() == ["monotone", "monotone", "monotone", "slow"]


def test_interquartile_means() -> None:
    values = np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -50.0])
    assert interquartile_mean(values) == 3.5
    assert interquartile_mean(np.array([1.0, 2.0, 3.0, np.nan])) == 2.5
    assert np.isinf(interquartile_mean(np.array([1.0, np.nan, np.nan, np.inf])))


def test_intervals_cover_what_they_should() -> None:
    """Of normal samples of 20 the 95% percentile bootstrap covers about nine tenths or more."""
    samples = np.random.default_rng(1).normal(size=(400, 20))
    found = estimate(samples)
    covered = np.mean((found.low <= 0) & (found.high >= 0))
    assert 0.88 < covered < 0.98
    ours = found.high[0] - found.low[0]
    theirs = stats.bootstrap(
        (samples[0],),
        interquartile_mean,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs.high - theirs.low, rtol=0.1)


def test_a_single_seed_has_no_interval() -> None:
    found = estimate(np.array([[1.0], [2.0]]))
    assert found.low.tolist() == found.mean.tolist() == found.high.tolist()


def test_best_rates_say_when_at_the_edge() -> None:
    losses = {"a": [1.0, 0.5, 0.54], "b": [0.5, 1.0, 2.0]}
    rates = [
        RateRow(name, rate, validation_loss=Interval(loss, loss, loss), runs=4)
        for name, given in losses.items()
        for rate, loss in zip([0.1, 1.0, 10.0], given, strict=True)
    ]
    best = best_rates(rates)
    assert [row.learning_rate for row in best] == [1.0, 0.1]
    assert [row.at_edge for row in best] == [False, True]
    assert [row.band_high for row in best] == [10.0, 0.1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    study = {
        "title": "A study <of> rates",
        "question": "Is it wise?",
        "about": "learning_rate",
        "axes": {
            "learning_rate": {"low": 1e-2, "high": 1e3, "points_per_decade": 3},
            "schedule": ["constant", "cosine"],
            "seed": {"count": 4},
        },
        "batch_size": 22,
        "epochs": 5,
        "hidden_sizes": [8],
    }
    path = tmp_path_factory.mktemp("study")
    run_study(Study.model_validate(study), path)
    return path


def test_the_answer_comes_from_the_cells(folder: Path) -> None:
    summary = summarize(folder)
    table = summary.cells
    group = table[(table["schedule"] == "constant")].groupby("learning_rate")["validation_loss"]
    means = group.apply(lambda losses: stats.trim_mean(np.sort(losses), 0.25))
    text = answer(summary)
    assert f"{means.min():.3g} [" in text[0]
    assert f"at the best rate ({means.idxmin():.3g}, constant schedule)" in text[0]
    assert text[0].startswith("Yes, it is wise")
    assert "most seeds fail" in text[1] and "rate 1 on the mean" in text[2]
    assert "4 of 4 seeds fail" in text[2] and "cosine" in text[3]
    for row in summary.rates:
        counts = [row.monotone, row.edge, row.slow, row.degraded, row.diverged]
        assert row.seeds == row.runs == sum(counts) == 4


VERDICTS = {
    (1.0,): "One rate alone can't say",
    (1e3, 1e4): "Nothing was learned",
    (1e-9, 2e-9): "Nothing was learned",
    (0.5, 0.6): "On this grid the learning rate hardly matters",
}


def test_the_answer_claims_no_more_than_the_grid_shows(tmp_path: Path) -> None:
    fields = {"title": "t", "question": "q", "batch_size": 32, "epochs": 2, "hidden_sizes": [8]}
    for number, (rates, verdict) in enumerate(VERDICTS.items()):
        out = tmp_path / str(number)
        axes = {"learning_rate": list(rates), "seed": [0, 1]}
        # One width: one compilation for all four.
        run_study(Study.model_validate(fields | {"axes": axes, "tile_width": 2}), out)
        assert answer(summarize(out))[0].startswith(verdict)
        if number < 2:  # of one rate, and of rates that all fail
            write_report(overview(out), out)


def test_the_report_is_one_page_that_needs_no_network(folder: Path) -> None:
    page = write_report(overview(folder), folder).read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None and len(scripts) == 6
    assert html.unescape(found[1]) == content_security_policy(scripts)
    assert "A study &lt;of&gt; rates" in page
    outside_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=", outside_scripts)
    names = ("answer", "training_curves", "against_control", "loss_by_rate", "outcomes")
    assert outside_scripts.count("<svg") == len(names) and "vegaEmbed" in page
    assert "Yes, because the rate decides the outcome" in page
    for name in names:
        assert (folder / f"{name}.svg").read_text().startswith("<svg")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for line in (folder / "answer.txt").read_text().splitlines():
        assert line.replace("'", "&#39;")[:60] in page
