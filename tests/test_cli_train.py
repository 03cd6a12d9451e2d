"""What ``train``, ``evaluate`` and ``predict`` print of a model: every number held to its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from test_cli import call

from jax_backprop import load_dataset
from jax_backprop.cli import console
from jax_backprop.training.model import load_model

DATA = "noise:80,5,3"
TRAIN = ("train", "--dataset", DATA, "--hidden", 4, "--epochs", 6, "--learning-rate", 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[tuple], str]:
    """A model's folder, what its bar was told, and what was printed."""
    folder, told, screen = tmp_path_factory.mktemp("train") / "model", [], io.StringIO()

    @contextlib.contextmanager
    def progress(label: str, *_: object, **__: object):
        yield lambda *given: told.append((label, *given))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "progress", progress)
        patch.setattr(console.out, "_file", screen)
        assert call(*TRAIN, "--batch-size", 12, "--out", folder) == 0
    return folder, told, screen.getvalue()


def expected(folder: Path) -> dict[str, tuple[np.ndarray, float, float]]:
    """Return each split's probabilities, loss and accuracy, by NumPy in float64."""
    found = {}
    *hidden, last = jax.tree.map(np.float64, load_model(folder).params)
    for name, split in load_dataset(DATA).splits.items():
        values = np.asarray(split.inputs, np.float64)
        for layer in hidden:
            values = 1 / (1 + np.exp(-(values @ layer.weights + layer.biases)))
        logits = values @ last.weights + last.biases
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        right = shares[np.arange(len(split.labels)), split.labels]
        hits = shares.argmax(axis=1) == split.labels
        found[name] = shares, float(-np.log(right).mean()), float(hits.mean())
    return found


def test_each_split_has_a_row_of_its_own_numbers(trained, capsys) -> None:
    folder, _, printed = trained
    assert call("evaluate", folder) == 0
    splits = load_dataset(DATA).splits
    for text in (printed, capsys.readouterr().out):
        lines = [line.replace("│", " ").split() for line in text.splitlines()]
        rows = {line[0]: line for line in lines if line}
        for name, (_, loss, accuracy) in expected(folder).items():
            numbers = [float(cell) for cell in rows[name][1:4]]
            np.testing.assert_allclose(
                numbers, [len(splits[name].labels), loss, accuracy], atol=1e-4
            )
    losses = [loss for _, loss, _ in expected(folder).values()]
    assert min(np.abs(np.diff(sorted(losses)))) > 1e-3  # none stands for two
    saved = json.loads((folder / "model.json").read_text())["scores"]
    np.testing.assert_allclose(saved["validation_loss"], losses[1], atol=1e-5)


def test_how_it_was_trained_is_said(trained) -> None:
    _, _, printed = trained
    words = " ".join(printed.split())
    assert "36 steps (batches of 12, the last 8 examples of each epoch dropped)" in words
    assert "gradient descent, constant schedule from 2, gradient by hand" in words.replace("_", " ")


def test_the_bar_tells_steps_and_validation_loss(trained) -> None:
    folder, told, _ = trained
    evaluations = pq.read_table(folder / "evaluations.parquet").to_pandas()
    label, done, note, total = told[-1]
    assert (label, done, total) == ("steps", 36, 36)
    assert note == f"validation loss {evaluations['validation_loss'].iloc[-1]:.4f}"
    np.testing.assert_allclose(
        evaluations[["train_loss", "validation_loss"]].iloc[-1],
        [expected(folder)[name][1] for name in ("train", "validation")],
        atol=1e-5,
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_prediction_is_the_likeliest_class_and_its_probability(
    trained, split: str, capsys
) -> None:
    folder, _, _ = trained
    shares, _, _ = expected(folder)[split]
    assert call("predict", folder, "--split", split) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["example"]) for row in rows] == list(range(len(shares)))
    names = load_dataset(DATA).class_names
    assert [row["class"] for row in rows] == [names[n] for n in shares.argmax(axis=1)]
    found = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(found, shares.max(axis=1), atol=2e-6)


@pytest.mark.parametrize(("batch", "examples"), [((), 80), (("--batch-size", 8), 8)])
def test_on_the_sum_a_rate_counts_for_every_example(
    batch: tuple, examples: int, tmp_path: Path, capsys
) -> None:
    """Of the batch, which may be all: rate r / n on the sum is rate r on the mean."""
    assert len(load_dataset(DATA).train.labels) == 80
    weights = []
    for name, rate in (("mean", 2.0), ("sum", 2.0 / examples), ("sum", 2.0)):
        out = tmp_path / f"{name}{rate}"
        options = (*batch, "--learning-rate", repr(rate), "--reduction", name)
        assert call(*TRAIN[:-2], *options, "--out", out) == 0
        weights.append(jax.tree.leaves(load_model(out).params))
    mean, summed, other = weights
    for first, second in zip(mean, summed, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)
    assert not np.allclose(mean[0], other[0], rtol=1e-2)
