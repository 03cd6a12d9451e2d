"""Data: the embedded digits, splits, and what is refused before anything is traced."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits as embedded_digits
from sklearn.model_selection import train_test_split

from jax_backprop import InputError, load_dataset, make_dataset
from jax_backprop.data.embedded import load_digits
from jax_backprop.data.stratified import hold_out

INPUTS = np.random.default_rng(0).normal(size=(60, 4))
LABELS = np.tile([0, 1, 2], 20)


def test_digits() -> None:
    data = load_dataset("digits")
    assert (data.features, data.classes) == (64, 10)
    assert {name: len(split.labels) for name, split in data.splits.items()} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    for split in data.splits.values():
        assert split.inputs.min() == 0 and split.inputs.max() == 1
        shares = np.bincount(split.labels) / len(split.labels)
        np.testing.assert_allclose(shares, 0.1, atol=0.01)


@pytest.mark.parametrize("found", [True, False], ids=["its file", "its function"])
def test_digits_are_scikit_learns(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Element for element, with its own split, whether or not its file is where it was."""
    if not found:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    data = load_digits(split_seed=3)
    pixels, labels = embedded_digits(return_X_y=True)
    rows, stratify = np.arange(1797), {"random_state": 3}
    train, rest = train_test_split(rows, test_size=0.1 + 0.2, stratify=labels, **stratify)
    validation, test = train_test_split(
        rest, test_size=0.2 / (0.1 + 0.2), stratify=labels[rest], **stratify
    )
    for part, split in zip((train, validation, test), data.splits.values(), strict=True):
        assert split.inputs.dtype == np.float32
        np.testing.assert_array_equal(split.inputs, np.float32(pixels[part]) / 16)
        np.testing.assert_array_equal(split.labels, labels[part])


@settings(max_examples=300, deadline=None)
@example(labels=[0] * 10 + [1] * 10 + [2] * 10, share=0.1, seed=0)  # a tie
@example(labels=[0] * 94 + [1, 2] * 2, share=0.5, seed=0)  # 1 / 49 * 49 < 1: drawn for nothing
@given(
    labels=st.lists(st.integers(0, 4), min_size=10, max_size=90).filter(
        lambda labels: min(np.bincount(labels)[np.unique(labels)]) > 1
    ),
    share=st.sampled_from([0.1, 0.2, 0.1 + 0.2, 0.2 / (0.1 + 0.2), 1 / 3, 0.5, 5 / 89]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_split_is_scikit_learns(labels: list[int], share: float, seed: int) -> None:
    """Row for row, in the same order, ties drawn alike."""
    every, rows = np.asarray(labels), np.arange(len(labels))
    try:
        expected = train_test_split(rows, test_size=share, stratify=every, random_state=seed)
    except ValueError:  # it refuses parts that can't hold every class; data/splits.py does before
        return
    for found, part in zip(hold_out(every, share, seed), expected, strict=True):
        np.testing.assert_array_equal(found, part)


def test_loading_digits_imports_no_scikit_learn() -> None:
    """Its import takes as long as JAX's, and every command begins with the data."""
    script = (
        "import sys; from jax_backprop import load_dataset; load_dataset('digits'); "
        "assert not {'sklearn', 'scipy.stats', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_splits_are_disjoint_seeded_and_whole() -> None:
    rows = np.arange(60, dtype=np.float64)[:, None]
    first, second, other = (make_dataset(rows, LABELS, split_seed=s) for s in (0, 0, 1))
    found = np.concatenate([split.inputs[:, 0] for split in first.splits.values()])
    assert sorted(found) == list(range(60))
    np.testing.assert_array_equal(first.train.inputs, second.train.inputs)
    assert (first.train.inputs != other.train.inputs).any()
    assert first.checksum == other.checksum


def change(array: np.ndarray, index: object, value: object) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (INPUTS, change(LABELS, 7, -1), "labels: got -1 at example 7"),
        (INPUTS, LABELS[:-1], r"labels: got shape \(59,\)"),
        (change(INPUTS, (3, 2), np.nan), LABELS, "features: got nan at example 3, feature 2"),
        (change(INPUTS, (5, 0), np.inf), LABELS, "features: got inf at example 5"),
        (INPUTS[:0], LABELS[:0], "features: got an empty array"),
        (INPUTS.astype(str), LABELS, "features: got <U"),
        (INPUTS, np.zeros(60, int), "1 classes"),
        (INPUTS, change(LABELS, 0, 3), "1 examples of class 3"),
    ],
)
def test_what_is_refused(inputs: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_dataset(inputs, labels)


def test_labels_out_of_the_named_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"got 2 at example 2 \(20 such labels\); expected 0 to 1"):
        make_dataset(INPUTS, LABELS, class_names=["cat", "dog"])


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'digits'"):
        load_dataset("digit")
