"""What a notebook shows of a result: its own numbers, and text that stays text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

import jax_backprop as jb
from jax_backprop.study import Summary
from jax_backprop.study.headline import headline
from jax_backprop.study.tuned import against_control
from jax_backprop.training.history import History
from jax_backprop.types import Evaluation


def test_a_study_shows_its_answer_and_is_its_table(blobs_study: Path, summary: Summary) -> None:
    results = jb.load_study(blobs_study)
    assert len(results) == results.num_rows == 156 and "156 networks in" in repr(results)
    assert results["cell"].to_pylist() == summary.cells["cell"].tolist()
    assert pa.table(results).equals(results.table)  # by the interface that other readers know
    page = results._repr_html_()
    head = headline(summary, against_control(summary))
    assert head.sentence in page and head.figures[0].value in page and "<svg" in page


def test_a_gradients_report_shows_its_leaves() -> None:
    def loss(w: np.ndarray) -> np.ndarray:
        return (w**2).sum()

    report = jb.check_gradient(loss, lambda w: -2 * w, np.ones(3, np.float32))
    page = report._repr_html_()
    assert report.summary() in page and "<td>fail</td>" in page and "<th>leaf</th>" in page


def test_a_data_set_counts_its_examples_and_names_stay_text(blobs: jb.Dataset) -> None:
    names = ("<b>=1+1", *blobs.class_names[1:])
    page = replace(blobs, class_names=names)._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;=1+1" in page
    assert f"<td>train</td><td>{len(blobs.train.labels)}</td>" in page


def test_a_training_shows_its_losses() -> None:
    losses = np.linspace(2.0, 0.5, 30)
    found = Evaluation(losses, {"accuracy": losses / 10})
    history = History(None, np.arange(30), found, found)  # type: ignore[arg-type]
    page = jb.FitResult({"w": np.ones((3, 4))}, history)._repr_html_()
    assert "12 trained parameters" in page and page.count("<tr>") == 10
    assert "<td>29</td><td>0.5</td><td>0.5</td><td>0.05</td>" in page
