"""What a rate costs against a dense sweep, worked out by hand, and what find-rate tells of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from jax_backprop import Run
from jax_backprop.finding.experience import Known, experience, known_tasks, tasks_like

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments" / "finders"))

import clock
from regret import Truth, regret, window_hits

RATES = np.array([0.1, 1.0, 10.0, 100.0])
TRUTH = Truth(
    RATES,
    choosing=np.array([[0.5, 0.5], [0.3, 0.2], [0.25, 0.4], [np.nan, 9.0]]),
    judging=np.array([[0.5, 0.5], [0.4, 0.4], [0.1, 0.5], [np.inf, 2.0]]),
    accuracies=np.array([[0.8, 0.8], [0.9, 0.9], [0.8, 0.9], [0.1, 0.1]]),
    start=2.4,
)


def test_regret_is_against_the_best_of_other_seeds() -> None:
    assert TRUTH.best == 1  # 10 is better by the seeds that judge
    found = regret(TRUTH, 10.0)
    assert (found.ratio, found.nats) == pytest.approx((0.75, -0.1)) and found.is_small
    assert found.accuracy == pytest.approx(0.05)
    np.testing.assert_allclose(TRUTH.losses, [0.5, 0.4, 0.3, 2.2])  # infinite: as at the start
    np.testing.assert_allclose(TRUTH.oracle, [10.0, 1.0])


def test_between_two_rates_the_loss_is_interpolated_and_across_a_cliff_the_worse_one() -> None:
    between = regret(TRUTH, 10**-0.5)
    assert between.ratio == pytest.approx(np.sqrt(0.5 * 0.4) / 0.4)
    assert regret(TRUTH, 30.0).ratio == pytest.approx(2.2 / 0.4)
    assert not regret(TRUTH, 30.0).is_small
    assert regret(TRUTH, 1e-6).ratio == pytest.approx(0.5 / 0.4)
    assert regret(TRUTH, 1e6) == regret(TRUTH, 100.0)


def test_hits_are_the_windows_rates_that_are_near_the_best() -> None:
    assert window_hits(TRUTH, (1.0, 10.0)) == 1.0
    assert window_hits(TRUTH, (0.1, 10.0)) == pytest.approx(2 / 3)
    assert window_hits(TRUTH, (0.12, 0.2)) == 0.0  # nearest to 0.1


def test_the_clock_goes_by_the_work_of_tasks_that_took_time(monkeypatch) -> None:
    now = iter([0.0, 0.5, 60.5, 240.5, 300.0])  # the first is found in the folder
    monkeypatch.setattr(clock.time, "monotonic", lambda: next(now))
    told_by = clock.Clock([50.0, 10.0, 30.0, 20.0])
    told = [told_by.tick() for _ in range(4)]
    assert told == [
        "1 of 4 tasks",
        "2 of 4 tasks, about 5 min left",  # a minute for 10, and 50 are left
        "3 of 4 tasks, about 2 min left",
        "4 of 4 tasks",
    ]


def test_find_rate_tells_of_tasks_like_the_asked_one(monkeypatch) -> None:
    assert all(isinstance(task, Known) for task in known_tasks())
    tasks = [
        Known(
            f"t{n}",
            loss,
            optimizer,
            "linear",
            full,
            n < 8,
            {"1": [1.0, 2.0], "4": [1.1, 1.3]},
            {"1": 0.5, "4": 0.9},
        )
        for n, (loss, optimizer, full) in enumerate(
            [("softmax_cross_entropy", "gradient_descent", False)] * 3
            + [("softmax_cross_entropy", "adam", False)] * 3
            + [("softmax_cross_entropy", "adam", True), ("squared_error", "adam", False)]
            + [("squared_error", "adam", False), ("huber", "adam", False)] * 2
        )
    ]
    monkeypatch.setattr("jax_backprop.finding.experience.known_tasks", lambda: tasks)
    names = [task.task for task in tasks_like(Run(batch_size=32))]
    assert names == ["t0", "t1", "t2"]
    full = tasks_like(Run.model_validate({"optimizer": {"name": "adamw"}}))
    assert [task.task for task in full] == ["t3", "t4", "t5", "t6"]  # one full batch is too few
    assert len(tasks_like(Run(loss="squared_error"))) == 8  # all that are of classes
    of_numbers = tasks_like(Run(loss="squared_error"), of_classes=False)
    assert [task.task for task in of_numbers] == ["t8", "t9", "t10", "t11"]  # two are too few
    (said,) = experience(tasks[:3], cost=3.2)
    assert "3 tasks most like it, at a budget of 4: " in said
    assert "1.20 in the median, 1.30 at 90%, 1.3 at worst; on 3 of them 90% of" in said
    assert experience([], 1.0) == []
