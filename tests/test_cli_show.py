"""``show``, ``compare`` and ``sweep --widen``: what a study says in a terminal, and as JSON."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_cli import call

from jax_backprop.cli.bars import bar
from jax_backprop.engine import load_study
from jax_backprop.engine.store import read_manifest
from jax_backprop.study import Interval, RateRow, answer, summarize

STUDY = """
title = "Rates [of] noise"
question = "Which rate?"
dataset = "noise:40,6,2"
hidden_sizes = [5]
activation = "tanh"
batch_size = 8
epochs = 2
[axes]
learning_rate = { low = 1e-3, high = 1e3, points_per_decade = 3 }
schedule = ["constant", "cosine"]
seed = { count = 6 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two studies that differ in a penalty."""
    place = tmp_path_factory.mktemp("show")
    (place / "study.toml").write_text(STUDY)
    assert call("sweep", place / "study.toml", "--out", place / "a") == 0
    assert call("sweep", place / "study.toml", "--out", place / "b", "--set", "l2=0.1") == 0
    return place


def changed(folder: Path, place: Path, **manifest: object) -> Path:
    """Return a copy of a study's folder, its manifest changed."""
    shutil.copytree(folder, place)
    found = json.loads((place / "study.json").read_text())
    (place / "study.json").write_text(json.dumps(found | manifest))
    return place


def printed(capsys, *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    assert call(*arguments) == code
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def read_json(capsys, *arguments: object) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def bars(text: str, names: list[str]) -> list[str]:
    """Return each series' bar: a character a rate."""
    shown = text.partition("loss against rate")[2]
    return [re.findall(rf"{name} ([▁▂▃▄▅▆▇█x]+) ", shown)[0] for name in names]


def test_show_of_one_series_compares_nothing(folder: Path, tmp_path: Path, capsys) -> None:
    changes = ("--set", 'axes.schedule=["constant"]', "--set", "epochs=1")
    assert call("sweep", folder / "study.toml", "--out", tmp_path / "one", *changes) == 0
    text = printed(capsys, "show", tmp_path / "one")
    assert "best rates, chosen on validation" in text
    assert "(control)" not in text and "p (Holm)" not in text


def test_show_prints_what_the_study_says(folder: Path, capsys) -> None:
    text = printed(capsys, "show", folder / "a")
    summary = summarize(folder / "a")
    assert "Rates [of] noise Which rate? noise:40,6,2, hidden 5" in text
    assert "228 networks, " in text and "finished" in text and "UNFINISHED" not in text
    for row in summary.best:
        assert f"{row.loss:.3g} [{row.validation_loss.low:.3g}" in text
    failed = sum(row.diverged for row in summary.rates)
    assert failed and f"228 networks, {failed} of them failed; finished" in text
    names = ["constant", "cosine"]
    for name, shown in zip(names, bars(text, names), strict=True):
        most = [row.fails for row in summary.of_series(name)]
        assert [mark == "x" for mark in shown] == most and any(most)
    assert "against constant, each at its own tuned rate" in text
    assert "(control)" in text and "x most seeds failed" in text
    for line in answer(summary):
        assert line in text
    assert "jax-backprop 0." in text


def test_a_report_is_opened_or_says_that_no_browser_was_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    asked = []
    for found in (True, False):
        monkeypatch.setattr("webbrowser.open", lambda url, found=found: asked.append(url) or found)
        text = printed(capsys, "report", folder / "a", "--format", "svg", "--open")
        assert ("no browser was found: open the page by hand" in text) == (not found)
        assert "Report: " in text
    assert asked == [(folder / "a" / "report.html").resolve().as_uri()] * 2


def test_a_bar_is_low_where_the_loss_is_low() -> None:
    """Logarithmic from the best loss to the loss at the start; x where most seeds diverged."""

    def row(loss: float, diverged: int = 0) -> RateRow:
        return RateRow("s", 1.0, validation_loss=Interval(loss, loss, loss), diverged=diverged)

    rows = [row(0.1), row(0.3), row(1.0), row(7.0), None, row(0.1, diverged=1)]
    assert bar(rows, best=0.1, start=1.0) == "▁▄██ x"
    many = [row(1.0)] * 51 + [row(0.1)] * 53  # two share a character, the better one shown
    assert bar(many, best=0.1, start=1.0) == "█" * 25 + "▁" * 27


def test_show_as_json_has_the_same_numbers(folder: Path, capsys) -> None:
    found = read_json(capsys, "show", folder / "a")
    summary = summarize(folder / "a")
    best = {row["series"]: row for row in found["best_rates"]}
    for row in summary.best:
        assert best[row.series]["learning_rate"] == row.learning_rate
        assert best[row.series]["test_loss"] == row.test_loss.mean
    (cosine,) = found["against_control"]
    assert (cosine["series"]["series"], cosine["control"]["series"]) == ("cosine", "constant")
    assert cosine["test_loss"]["pairs"] == 6 and 0 < cosine["test_loss"]["p_value"] <= 1
    assert found["cells"]["done"] == found["cells"]["planned"] == 228
    assert found["answer"] == answer(summary) and set(found["sensitivity"]) == set(best)


def test_show_of_a_study_in_the_middle(folder: Path, tmp_path: Path, capsys) -> None:
    """Of an extension that was interrupted, and of a study before its first cells are saved."""
    manifest = read_manifest(folder / "a")
    planned = [*manifest["generations"], {"cells": 12, "sha256": "0" * 64}]
    middle = changed(folder / "a", tmp_path / "m", generations=planned, complete=False, part="1/2")
    text = printed(capsys, "show", middle)
    assert "228 of 240 networks (share 1/2)" in text and "UNFINISHED" in text
    assert f"{summarize(middle).best[0].test_loss.mean:.3g} [" in text
    begun = changed(folder / "a", tmp_path / "begun", parts={}, complete=False)
    text = printed(capsys, "show", begun)
    assert "0 of 228 networks" in text and "UNFINISHED" in text
    assert read_json(capsys, "show", begun)["best_rates"] == []


def halves(text: str) -> tuple[str, str]:
    """Return the first series' row of the table of losses, and of accuracies."""
    _, losses, accuracies = re.split("test loss, each|test accuracy, each", text)
    return losses.partition("constant")[2], accuracies.partition("constant")[2]


def test_compare_says_what_differs_and_by_how_much(folder: Path, capsys) -> None:
    text = printed(capsys, "compare", folder / "a", folder / "b")
    assert "what differs" in text and "l2 0 0.1" in text and "schedule axis" not in text
    found = read_json(capsys, "compare", folder / "a", folder / "b")
    assert [row["field"] for row in found["differences"]] == ["l2"]
    assert [row["series"]["series"] for row in found["b_minus_a"]] == ["constant", "cosine"]
    for row in found["b_minus_a"]:
        losses = []
        for side, place in (("series", "b"), ("control", "a")):
            cells = load_study(folder / place).to_pandas()
            mine = cells["schedule"] == row[side]["series"]
            runs = cells[mine & (cells["learning_rate"] == row[side]["learning_rate"])]
            losses.append(runs.sort_values("seed")["test_loss"].to_numpy(np.float64))
        np.testing.assert_allclose(row["test_loss"]["mean"], np.mean(losses[0] - losses[1]))
    first = found["b_minus_a"][0]
    for measure, row in zip(("test_loss", "test_accuracy"), halves(text), strict=True):
        means = [first[side][measure] for side in ("control", "series")]
        np.testing.assert_allclose(first[measure]["mean"], means[1] - means[0], atol=1e-12)
        sides = [f" {mean:.3g} " for mean in means]
        assert sides[0] != sides[1] and row.index(sides[0]) < row.index(sides[1])
    same = printed(capsys, "compare", folder / "a", folder / "a")
    assert "the same fields and axes" in same


def test_compare_refuses_what_can_not_be_compared(folder: Path, tmp_path: Path, capsys) -> None:
    share = changed(folder / "a", tmp_path / "share", part="1/2")
    text = printed(capsys, "compare", folder / "a", share, code=2)
    assert "share 1/2 of a study" in text and "jax-backprop merge" in text
    begun = changed(folder / "a", tmp_path / "begun", complete=False)
    text = printed(capsys, "compare", begun, folder / "a", code=2)
    assert (
        "a study of 228 networks that is unfinished" in text and f"--out {begun}` continues" in text
    )
    other = changed(folder / "a", tmp_path / "other", data={"0": "0123456789ab" + "0" * 52})
    text = printed(capsys, "compare", folder / "a", other, code=2)
    assert "data: got" in text and "SHA-256 0123456789ab" in text


def test_widen_goes_on_until_the_optimum_is_inside(tmp_path: Path, capsys) -> None:
    path, out = tmp_path / "study.toml", tmp_path / "out"
    path.write_text(STUDY)
    narrow = ("--set", "axes.learning_rate={low=1e-3, high=1e-2, points_per_decade=3}")
    short = (*narrow, "--set", "axes.seed.count=2", "--set", "dataset='digits'")
    text = printed(capsys, "sweep", path, "--out", out, *short)
    assert "--widen goes there" in text and "constant 0.01 (the largest)" in text
    before = read_manifest(out)["parts"]
    text = printed(capsys, "sweep", path, "--out", out, *short, "--widen")
    assert "16 networks in" in text and "0 trained now, 16 found there" in text
    assert "12 trained now, 16 found there" in text and "12 trained now, 28 found there" in text
    assert read_manifest(out)["parts"].items() >= before.items()
    assert not any(row.at_edge for row in summarize(out).best)
    total = load_study(out).num_rows
    text = printed(capsys, "sweep", path, "--out", out, *short, "--widen", "--set-aside")
    assert f"0 trained now, {total} found there" in text and "note" not in text
    assert not list(tmp_path.glob("out.old-*"))


def test_widen_stops_after_four_decades(tmp_path: Path, capsys) -> None:
    """At so small rates the largest is always the best."""
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    tiny = ("--set", "axes.learning_rate=[1e-12, 1e-10, 1e-8]", "--set", "axes.seed.count=1")
    tiny = (*tiny, "--set", "axes.schedule=['constant']", "--set", "dataset='digits'", "--widen")
    text = printed(capsys, "sweep", path, "--out", tmp_path / "out", *tiny)
    assert text.count("going on a decade") == 2
    assert "constant 0.0001 (the largest): as far as --widen goes" in text
