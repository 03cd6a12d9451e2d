"""Steps to a loss by batch size: reading them off, the law through them, rules, a closed form."""

from __future__ import annotations

import dataclasses

import batch
import critical_batch
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from batch import rules_table, sentences
from critical_batch import carried, fitted, savings, steps_to, tuned
from noise_along import foretold

import jax_backprop as jb
from jax_backprop.study.runs import Design
from jax_backprop.study.summary import Summary


def curves_of(losses: dict[str, list[float]], every: int = 10) -> pd.DataFrame:
    rows = [(cell, every * n, each) for cell, row in losses.items() for n, each in enumerate(row)]
    return pd.DataFrame(rows, columns=["cell", "step", "validation_loss"])


def test_steps_to_a_loss_are_read_between_evaluations() -> None:
    """Evenly in log; at once where the start is below it; never where no evaluation is."""
    curves = curves_of({"b": [4.0, 1.0, 0.25], "a": [0.2, 3.0, 0.1], "c": [4.0, 3.0, np.nan]})
    assert steps_to(curves, 0.5).to_dict() == {"a": 0.0, "b": pytest.approx(15.0), "c": np.inf}


def test_the_law_is_found_through_what_was_reached() -> None:
    batches = np.array([1, 4, 16, 64, 256])
    steps = 50 * (1 + 24 / batches)
    assert fitted(batches, steps) == (pytest.approx(50), pytest.approx(24))
    steps[1] = np.inf
    assert fitted(batches, steps) == (pytest.approx(50), pytest.approx(24))
    steps[2:4] = np.inf
    assert np.isnan(fitted(batches, steps)).all()


def expected(rate: float, size: int, steps: np.ndarray, noise: float = 0.5) -> np.ndarray:
    """Return the expected loss of w^2/2 from w = 2, whose batches' gradients are w + noise."""
    floor = 0.5 * rate * noise / size / (2 - rate)
    return (2.0 - floor) * (1 - rate) ** (2 * steps) + floor


def test_the_noisy_quadratics_steps_are_the_closed_forms() -> None:
    """At each rate and batch: the first step at which the expected loss is the target or less."""
    rates, steps = np.geomspace(0.01, 1.5, 40), np.arange(0, 2_000)
    for size in (1, 4, 64):
        curves = {f"{rate}": list(expected(rate, size, steps)) for rate in rates}
        found = steps_to(curves_of(curves, 1), 0.05)
        for rate in rates:
            floor = float(expected(rate, size, np.array(np.inf)))
            known = np.inf
            if floor < 0.05:
                known = np.log((0.05 - floor) / (2.0 - floor)) / (2 * np.log(abs(1 - rate)))
            assert np.ceil(found[f"{rate}"]) == np.ceil(known)


def test_the_engine_trains_the_noisy_quadratic_as_the_closed_form_says() -> None:
    """Batches of one epoch are drawn without replacement: their means covary by -var/(N - 1)."""
    inputs = np.random.default_rng(0).normal(size=(800, 1)).astype(np.float32)
    data = jb.make_dataset(inputs, np.arange(800) % 2)
    train = np.asarray(data.train.inputs, np.float64)
    mean, variance, count = float(train.mean()), float(train.var()), len(train)

    def value_and_grad(w: jnp.ndarray, batch: jb.Batch) -> tuple[jnp.ndarray, jnp.ndarray]:
        apart = w - jnp.mean(batch.inputs)
        return 0.5 * apart**2, apart

    def evaluate(w: jnp.ndarray, batch: jb.Batch) -> jb.Evaluation:
        return jb.Evaluation(0.5 * (w - mean) ** 2)

    size, rate, steps, seeds = 4, 0.3, 12, 400
    tables = jb.sweep(
        lambda key: jnp.float32(mean + 2),
        data,
        jb.Grid({"seed": range(seeds)}),
        value_and_grad=value_and_grad,
        evaluate=evaluate,
        learning_rate=rate,
        batch_size=size,
        steps=steps,
        eval_every=steps,
        identity="noisy quadratic",
    )
    found = tables.cells.column("validation_loss").to_numpy()
    weights = rate * (1 - rate) ** np.arange(steps)
    together = -variance / (count - 1)
    alone = variance / size * (count - size) / (count - 1)
    spread = (alone - together) * np.sum(weights**2) + together * np.sum(weights) ** 2
    known = 0.5 * ((2 * (1 - rate) ** steps) ** 2 + spread)
    assert abs(found.mean() - known) < 3.5 * found.std() / np.sqrt(seeds)
    without = 0.5 * ((2 * (1 - rate) ** steps) ** 2 + variance * np.sum(weights**2))  # size 1
    assert abs(found.mean() - without) > 10 * found.std() / np.sqrt(seeds)


FEWEST, CRITICAL = 40.0, 24.0
SIZES = {"batch_size=2": 2, "batch_size=8": 8, "batch_size=32": 32, "batch_size=full": None}


@pytest.fixture(scope="module")
def summary() -> Summary:
    """A study whose steps to a loss of 1 are known: those of the law, at the rate batch / 8."""
    rates, splits = [0.25, 0.5, 1.0, 2.0, 4.0, 10.0], (0, 1, 2)
    rows, curves = [], {}
    for name, size in SIZES.items():
        best = (size or 80) / 8
        for rate in rates:
            for split in splits:
                cell = f"{name} {rate} {split}"
                rows.append((cell, name, rate, split, 0))
                steps = FEWEST * (1 + CRITICAL / (size or 80)) * max(rate / best, best / rate)
                curves[cell] = list(2.0 * 0.5 ** (np.arange(0, 4_000, 10) / steps))
    cells = pd.DataFrame(rows, columns=["cell", "series", "learning_rate", "split_seed", "seed"])
    study = jb.Study.model_validate(
        {
            "title": "Batches",
            "question": "Which?",
            "dataset": "noise:80,4,3",
            "hidden_sizes": [8],
            "axes": {"batch_size": [2, 8, 32, "full"], "split_seed": {"count": 3}},
        }
    )
    manifest = {
        "study": study.model_dump(mode="json", exclude_none=True),
        "identity": {"train_examples": 80},
    }
    settings = {name: {"batch_size": size} for name, size in SIZES.items()}
    return Summary(manifest, cells, curves_of(curves), [], [], settings, Design(3, 1, "fresh"))


def test_rates_are_chosen_on_other_splits_and_carried(summary: Summary) -> None:
    found = tuned(summary, 1.0)
    assert [row.batch for row in found] == [2, 8, 32, 80]
    assert [row.rates.tolist() for row in found] == [[size / 8] * 3 for size in (2, 8, 32, 80)]
    known = FEWEST * (1 + CRITICAL / np.array([2, 8, 32, 80]))
    np.testing.assert_allclose([row.steps[0] for row in found], known)
    # One split's steps at another rate say nothing of its own choice.
    cells, curves = summary.cells, summary.curves.copy()
    better = cells[(cells["series"] == "batch_size=8") & (cells["learning_rate"] == 0.25)]["cell"]
    curves.loc[curves["cell"] == better.iloc[0], "validation_loss"] = 1.0
    other = tuned(dataclasses.replace(summary, curves=curves), 1.0)[1]
    assert other.rates[0] == 1.0 and other.steps[0] == pytest.approx(known[1])
    times = {(row.rule, row.batch): row.times for row in carried(found, 1.0)}
    assert times["linear", 2] == times["linear", 80] == pytest.approx(1)
    assert times["unchanged", 8] == pytest.approx(4) == times["square root", 2]
    assert times["square root", 8] == pytest.approx(2)
    beyond = carried([found[2]._replace(rates=found[2].rates * 4), found[3]], 1.0)
    assert [np.isnan(row.times) for row in beyond] == [True, True, True]


def test_the_critical_batch_stands_beside_the_noise_scale(
    summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(critical_batch, "foretold", lambda *given: 2 * CRITICAL + given[2])
    (row,) = savings(summary, tuned(summary, 1.0), 1.0)
    assert (row.fewest, 10**row.critical.mean) == pytest.approx((FEWEST, CRITICAL))
    said = np.log10(2 * CRITICAL + np.arange(3))
    assert row.foretold.mean == pytest.approx(said.mean())
    assert row.apart.mean == pytest.approx(np.log10(CRITICAL) - said.mean())
    said = sentences([row], [])
    assert "is 24 to 24 examples" in said[0] and "within a factor of 2" in said[1]
    drawn = batch.chart(tuned(summary, 1.0), 1.0).to_dict()
    fields = [layer["encoding"]["y"]["field"] for layer in drawn["hconcat"][0]["layer"]]
    assert fields == ["steps", "steps"] and drawn["hconcat"][1]["encoding"]["y"]["field"] == "rate"


def test_the_noise_scale_is_measured_along_the_run(summary: Summary) -> None:
    """At a rate of nearly 0 it is the start's; along a run it isn't."""
    network = jb.Network(layer_sizes=(4, 8, 3))
    data = jb.load_dataset("noise:80,4,3", split_seed=1)
    start = jb.init_params(network, key=jb.role_keys(0).init)
    known = float(jb.gradient_noise_scale(start, data.train, network=network).scale)
    still, moving = (foretold(summary, "gradient_descent", 1, rate, 20) for rate in (1e-9, 1.0))
    assert still == pytest.approx(known, rel=1e-4) and abs(moving / known - 1) > 0.05


def test_a_loss_that_no_run_reaches_is_told_as_such(summary: Summary) -> None:
    found = tuned(summary, 1e-30)
    rules = carried(found, 1e-30)
    assert {cell for row in rules_table(rules)[1] for cell in row[3:]} == {
        "not reached",
        "not tried",
    }
    assert savings(summary, found, 1e-30) == []
    assert "in so many of 3 cases: unchanged 0, square root 0, linear 0" in sentences([], rules)[0]
    with pytest.raises(SystemExit, match="above 0"):
        tuned(summary, -1.0)
