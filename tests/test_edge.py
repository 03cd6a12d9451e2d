"""The edge of stability, and runs without a learning rate, on made-up runs whose story is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edge import HORIZONS, where_at_edge
from no_rate import TUNED, costs, methods, survival
from no_rate import sentences as no_rate_sentences

from jax_backprop import InputError
from jax_backprop.settings import Optimizer
from jax_backprop.study.edge import by_rate, edge_answer, states
from jax_backprop.study.sharpness import along_training, limit_times_rate
from jax_backprop.study.summary import Summary

STEPS = np.arange(0, 1001, 10)


def made_up(stories: dict[str, np.ndarray], **chosen: object) -> Summary:
    """Return a summary of one run a story: its sharpness along the steps, at rate 0.1."""
    rows, curves = [], []
    for name, sharpness in stories.items():
        failed = name == "diverged"
        loss = np.geomspace(2.0, 3.0 if failed else 0.1, len(STEPS))
        rows.append(
            {
                "cell": name,
                "series": name,
                "seed": 0,
                "learning_rate": 0.1,
                "sharpness_at_start": sharpness[0],
                "loss_at_start": 2.0,
                "tail_loss": loss[-1],
                "non_finite": False,
            }
        )
        points = {"cell": name, "step": STEPS, "train_loss": loss, "sharpness": sharpness}
        curves.append(pd.DataFrame(points))
    cells = pd.DataFrame(rows)
    settings = {name: {"activation": name, **chosen} for name in stories}
    return Summary({"study": {}}, cells, pd.concat(curves), [], [], settings)


def test_states_are_told_apart() -> None:
    """The limit of gradient descent at rate 0.1 is 20."""
    stories = {
        "below": np.full(101, 5.0),
        "edge": np.minimum(5.0 + STEPS / 20, 20.5),  # there from step 300 on
        "above": np.full(101, 40.0),
        "diverged": np.full(101, 20.0),
    }
    found = states(along_training(made_up(stories)), HORIZONS)
    table = found.pivot(index="series", columns="horizon", values="state")
    assert table.loc["edge"].tolist() == ["below", "below", "edge", "edge"]
    for name in ("below", "above"):
        assert set(table.loc[name]) == {name}
    assert table.loc["diverged", 1000] == "diverged"
    heads, rows = where_at_edge(by_rate(found))
    assert heads[1:] == ["by step 100", "by step 200", "by step 500", "by step 1,000"]
    told = {name: cells for name, *cells in rows}
    assert told["edge"] == ["0 of 1", "0 of 1", "1 of 1 (0.25)", "1 of 1 (0.25)"]


def test_the_answer_says_where_the_sharpness_hovers() -> None:
    stories = {name: np.full(101, level) for name, level in (("below", 5.0), ("above", 40.0))}
    found = edge_answer(made_up({"edge": np.minimum(5.0 + STEPS / 20, 20.5), **stories}))
    assert found.sentence == (
        "In 1 of 3 series the sharpness comes to hover at the limit, from a rate of 0.25 times "
        "2/sharpness at the start on."
    )
    assert [figure.value for figure in found.figures] == ["1 of 3", "0.25", "1"]
    assert (
        found.line == "Rates at the edge, by series: edge 1 of 1 (0.1); below 0 of 1; above 0 of 1."
    )
    assert edge_answer(made_up(stories)).sentence.startswith("At none of these rates")


@pytest.mark.parametrize(
    ("optimizer", "limit"),
    [
        (Optimizer(), 2.0),
        (Optimizer(name="heavy_ball", momentum=0.9), 3.8),
        (Optimizer(name="nesterov", momentum=0.9), 3.8 / 2.8),
        (Optimizer(name="adam"), None),
    ],
)
def test_limits_are_where_a_quadratic_becomes_unstable(optimizer: Optimizer, limit) -> None:
    """Run each on x^2 / 2, whose curvature is 1: just below the limit it falls, above it grows."""
    assert limit_times_rate(optimizer) == (None if limit is None else pytest.approx(limit))
    if limit is None:
        return
    b, nesterov = optimizer.momentum or 0.0, optimizer.name == "nesterov"

    def after(rate: float) -> float:
        x, trace = 1.0, 0.0
        for _ in range(4000):
            trace = b * trace + x
            x -= rate * (x + b * trace if nesterov else trace)
        return abs(x)

    assert after(limit * 0.995) < 1e-2 and after(limit * 1.005) > 1e2


def test_the_limit_is_that_of_the_series_own_momentum() -> None:
    momentum = {"optimizer": "heavy_ball", "optimizer.momentum": 0.5}
    half = made_up({"edge": np.full(101, 30.0)}, **momentum)
    points = along_training(half)
    assert points["ratio"].iloc[0] == pytest.approx(30.0 * 0.1 / 3.0)
    with pytest.raises(InputError, match="sharpness_iterations"):
        along_training(replace(half, curves=half.curves.drop(columns="sharpness")))


def runs(
    setting: int,
    rule: str,
    reduction: str,
    rate: float,
    loss: float,
    failed: bool = False,
    every: float = np.nan,
):
    return [
        {
            "hidden_sizes": setting,
            "rate_rule": rule,
            "rate_rule.every": every,
            "reduction": reduction,
            "learning_rate": rate,
            "seed": seed,
            "validation_loss": loss * (1 + 0.01 * seed),
            "test_loss": loss * (1 + 0.02 * seed),
            "tail_loss": 9.0 if failed else loss,
            "loss_at_start": 2.0,
            "non_finite": False,
        }
        for seed in range(8)
    ]


def test_costs_and_survival_of_rates_that_nobody_tuned() -> None:
    rows = []
    for setting, best in ((8, 1.0), (32, 0.1)):
        for rate in (0.01, 0.1, 1.0, 10.0):
            loss = 0.1 * (1 + abs(np.log10(rate / best)))
            rows += runs(setting, "scheduled", "mean", rate, loss, failed=rate == 10.0)
        rows += runs(setting, "scheduled", "sum", 1.0, 5.0, failed=True)
        rows += runs(setting, "curvature", "mean", 2.0, 0.15)
        rows += runs(setting, "curvature", "mean", 1.0, 0.12, every=10)
        rows += runs(setting, "line_search", "mean", 3.16, 0.11)
        rows += runs(setting, "line_search", "mean", 1000.0, 0.3)
    cells = methods(pd.DataFrame(rows))
    found = costs(cells).set_index(["setting", "method"])
    assert set(found.index.get_level_values("method")) == {
        TUNED,
        "rate 1, mean",
        "rate 1, sum",
        "2/sharpness at the start",
        "1/sharpness every 10 steps",
        "line search up to 3.16",
        "line search up to 1000",
    }
    assert found.loc[("H 8", TUNED), "rate"] == 1.0 and found.loc[("H 32", TUNED), "rate"] == 0.1
    assert found.loc[("H 32", "rate 1, mean"), "times"] == pytest.approx(2.0)
    assert found.loc[("H 8", "rate 1, sum"), "diverged"] == 8
    searched = found.loc["H 8"].loc[["line search up to 3.16", "line search up to 1000"]]
    assert searched["times"].tolist() == pytest.approx([1.1, 3.0])
    assert searched["p_value"].max() <= 0.1  # Holm over twelve of 2 / 2^8
    state = survival(cells).pivot(index="setting", columns="learning_rate", values="state")
    assert state.loc["H 8"].tolist() == ["poor", "survives", "near", "diverged"]
    assert state.loc["H 32"].tolist() == ["survives", "near", "survives", "diverged"]
    text = no_rate_sentences(costs(cells), survival(cells))
    assert any("rate 1, sum" in line and "16 of 16 runs diverged" in line for line in text)
    with pytest.raises(InputError, match="reduction"):
        methods(pd.DataFrame(rows).drop(columns="reduction"))
