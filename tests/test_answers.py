"""Which question an answer answers: chosen by what varies; what can't be said is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from test_tuned import RATES, runs

from jax_backprop.study import answer
from jax_backprop.study.answers import setting_of
from jax_backprop.study.drift import drift, drifts
from jax_backprop.study.headline import headline
from jax_backprop.study.overview import axis_of
from jax_backprop.study.questions import asked
from jax_backprop.study.runs import design
from jax_backprop.study.sensitivity import even_rates
from jax_backprop.study.summary import Summary, best_rates, summarize_rates


def summary(parts: dict[str, Any], settings: dict[str, dict[str, Any]], **study: Any) -> Summary:
    """Return a study of these series, each known by its settings."""
    cells = pd.concat(parts.values(), ignore_index=True)
    axes = ["learning_rate", "seed", *dict.fromkeys(n for s in settings.values() for n in s)]
    manifest = {"identity": {"axes": axes, "train_examples": 100}, "study": study}
    rates = summarize_rates(cells)
    how = design(manifest, cells)
    return Summary(manifest, cells, None, rates, best_rates(rates), settings, how)


def widths(power: float, seeds: int = 8) -> Summary:
    """Return a study whose best rate goes as a power of the width."""
    names = {f"hidden_sizes={w}": w for w in (8, 16, 32, 64)}
    parts = {n: runs(n, 0.3 * (w / 8) ** power, range(seeds)) for n, w in names.items()}
    return summary(parts, {n: {"hidden_sizes": (w,)} for n, w in names.items()})


def test_rates_alone_are_the_homeworks_question_with_its_why() -> None:
    found = answer(summary({"constant": runs("constant", 1.0, range(6))}, {"constant": {}}))
    assert found[0].startswith("Yes, it is wise, and the rate needs choosing, because too small a")
    assert "too large a one ends far above the best" in found[0]
    assert found[-1] == (
        "Intervals and p are over 6 seeds at this split; they say nothing of other splits."
    )
    one = runs("constant", 1.0, range(6))
    one = one[np.isclose(one["learning_rate"], 1.0)]
    told = answer(summary({"constant": one}, {"constant": {}}))
    assert told[0].startswith("One rate alone can't say")
    assert not any("Rates from" in line or "Without a" in line for line in told)


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5])
def test_a_numeric_axis_is_answered_by_how_far_the_best_rate_moves(power: float) -> None:
    study = widths(power)
    found = drift(study, "hidden_sizes")
    assert found is not None and found.slope.pairs == 8 and found.at_edge == 0
    assert found.slope.low <= found.slope.mean <= found.slope.high
    np.testing.assert_allclose(found.slope.mean, power, atol=0.12)
    text = answer(study)[0]
    assert text.startswith(f"The best rate moves by a factor {2**found.slope.mean:.3g} [")
    assert "per doubling of the width (8 to 64)" in text
    assert ("not told from 1" in text) == (found.slope.p_value > 0.05) == (power == 0)
    assert not any("it is wise" in line for line in answer(study))


def test_an_axis_that_follows_another_is_no_question_of_its_own() -> None:
    """Steps that are walked with the batch: how the rate moves with them is the batch's doing."""
    sizes = {"a": 8, "b": 16, "c": 32}
    parts = {name: runs(name, 0.1 * size, range(6)) for name, size in sizes.items()}
    settings = {n: {"batch_size": size, "steps": 6400 // size} for n, size in sizes.items()}
    walked = summary(parts, settings, zip=[["batch_size", "steps"]])
    assert asked(walked).numeric == ("batch_size",)
    assert asked(summary(parts, settings)).numeric == ("batch_size", "steps")
    found = drift(walked, "batch_size")  # the steps differ at each, and part no line in pieces
    assert found is not None and (found.low, found.high) == (8, 32)
    np.testing.assert_allclose(found.slope.mean, 1, atol=0.12)
    assert drift(summary(parts, settings), "batch_size") is None


def test_the_drift_of_named_values_is_told_apart_and_not_averaged() -> None:
    """Standard networks' best rate falls with the width, the others' stays: one mean misleads."""
    parts, settings = {}, {}
    for name, power in {"standard": -1.0, "mup": 0.0}.items():
        for width in (8, 16, 32, 64):
            series = f"parametrization={name}, hidden_sizes={width}"
            parts[series] = runs(series, 3.0 * (width / 8) ** power, range(8))
            settings[series] = {"parametrization": name, "hidden_sizes": (width,)}
    study = summary(parts, settings, about="parametrization")
    found = drifts(study, "hidden_sizes", "parametrization")
    np.testing.assert_allclose(
        [found[n].slope.mean for n in ("standard", "mup")], [-1, 0], atol=0.12
    )
    told = [f"{2**each.slope.mean:.3g}" for each in found.values()]
    line = answer(study)[0]
    assert line.startswith(
        "By parametrization, the best rate moves by a factor per doubling of the width: "
        f"standard {told[0]} ["
    )
    assert f"; mup {told[1]} [" in line
    head = headline(study, [])
    assert (head.kind, head.axis) == ("axis", "hidden_sizes")
    assert head.sentence == (
        "Per doubling of the width the best rate moves by a factor "
        f"{told[0]} at standard, {told[1]} (within chance) at mup."
    )


def test_series_are_answered_against_the_first_and_not_by_whether_rates_are_wise() -> None:
    parts = {"tanh": runs("tanh", 1.0, range(8)), "relu": runs("relu", 1.0, range(8), at_best=0.3)}
    settings = {name: {"activation": name} for name in parts}
    found = answer(summary(parts, settings))
    assert found[0].startswith("Paired by seed with tanh, each at its own tuned rate, test loss")
    assert "in 1 of 1 series (lower in 1, higher in 0): relu -0.2" in found[0]
    assert not any("wise" in line for line in found)
    assert answer(summary(parts, settings, about="learning_rate"))[0].startswith("Yes, it is wise")
    other = answer(summary(parts, settings, about="epochs"))[0]
    assert other == (
        "The question is about the epochs, which doesn't vary here: these results can't answer it."
    )


def test_too_few_seeds_make_no_finding() -> None:
    parts = {"a": runs("a", 1.0, range(5)), "b": runs("b", 1.0, range(5), at_best=0.1)}
    found = answer(summary(parts, {name: {"activation": name} for name in parts}))
    assert "shows no finding, as 5 seeds can't reach p below 0.062: b -0.4" in found[0]
    assert "beyond chance" not in " ".join(found)
    moved = answer(widths(1.0, seeds=4))[0]
    assert "no finding: 4 seeds can't reach p below 0.12" in moved and "[" not in moved


def test_optimizers_that_bring_a_rate_stand_beside_the_tuned_one() -> None:
    dog = runs("dog", 1.0, range(6), at_best=0.6)
    parts = {"adam": runs("adam", 1.0, range(6)), "dog": dog[dog["learning_rate"] == RATES[12]]}
    found = answer(summary(parts, {name: {"optimizer": name} for name in parts}))
    (text,) = [line for line in found if line.startswith("Without choosing a rate")]
    assert "comes to dog 0.593 [" in text and "the best that was tuned, adam, to 0.499 [" in text


def test_no_finite_loss_answers_nothing() -> None:
    lost = runs("a", 1.0, range(3)).assign(validation_loss=np.inf)
    (text,) = answer(summary({"a": lost}, {"a": {}}))
    assert text == "These results can't answer the question: no run ended with a finite loss."


def test_rates_of_a_search_are_few_although_their_gaps_are_tiny() -> None:
    """A search's bisections leave gaps of 1e-9 decades and below; that took 24.7 TiB."""
    near = 1.0 + np.array([1e-12, 3e-9, 1e-7, 2e-6])
    rates = np.unique(np.concatenate([RATES, near]))
    np.testing.assert_allclose(even_rates(rates), RATES)
    few = runs("a", 1.0, range(4))
    alone = few[(few["seed"] == 0) & np.isclose(few["learning_rate"], 1.0)]
    alone = alone.assign(learning_rate=1.01, validation_loss=0.0)
    best = best_rates(summarize_rates(pd.concat([few, alone], ignore_index=True)))
    assert best[0].learning_rate != 1.01, "one seed's rate is no candidate"


def test_a_rate_at_which_runs_diverge_is_the_worst_by_any_metric() -> None:
    """Its R2 isn't a number; it counted as plus infinity, and was chosen as the best."""
    cells = runs("a", 1.0, range(4)).rename(columns=lambda name: name.replace("accuracy", "r2"))
    cells["validation_r2"] = cells["test_r2"] = 1 - cells["validation_loss"]
    top = cells["learning_rate"] == cells["learning_rate"].max()
    cells.loc[top, ["validation_loss", "validation_r2", "test_r2"]] = np.inf, np.nan, np.nan
    rates = summarize_rates(cells, chosen_by="r2")
    assert rates[-1].validation_score.mean == -np.inf == rates[-1].test_score.high
    assert rates[0].validation_score.low <= rates[0].validation_score.mean
    by_loss = best_rates(summarize_rates(cells))
    assert best_rates(rates)[0].learning_rate == by_loss[0].learning_rate


def test_a_network_without_a_hidden_layer_is_linear() -> None:
    study = {"dataset": "digits", "hidden_sizes": [], "activation": "tanh", "batch_size": 8}
    manifest = {"study": study, "identity": {"axes": ["seed"]}}
    assert setting_of(manifest, 3) == "digits, linear, batches of 8, 3 paired seeds at one split"
    assert setting_of(manifest, 3, 10).endswith("3 paired seeds at each of 10 splits")


def test_choices_of_one_name_are_counted_by_their_parameters() -> None:
    shares = {"wsd": 0.2, "wsd(decay_fraction=0.5)": 0.5}
    parts = {name: runs(name, 1.0, range(4)) for name in shares}
    settings = {n: {"schedule": "wsd", "schedule.decay_fraction": s} for n, s in shares.items()}
    axis = axis_of("schedule", pa.chunked_array([["wsd"]]), summary(parts, settings))
    assert (axis.values, axis.labels) == (2, list(shares))
