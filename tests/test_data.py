"""Data: the embedded digits, splits, and what is refused before anything is traced."""

from __future__ import annotations

import numpy as np
import pytest

from jax_backprop import InputError, load_dataset, make_dataset

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
        (INPUTS, LABELS + 0.5, "labels: got float64.*expected integers"),
        (INPUTS, np.eye(3)[LABELS], r"labels: got shape \(60, 3\)"),
        (INPUTS, LABELS[:-1], r"labels: got shape \(59,\)"),
        (change(INPUTS, (3, 2), np.nan), LABELS, "features: got nan at example 3, feature 2"),
        (change(INPUTS, (5, 0), np.inf), LABELS, "features: got inf at example 5"),
        (INPUTS[:0], LABELS[:0], "features: got an empty array"),
        (INPUTS.astype(str), LABELS, "features: got <U"),
        (INPUTS.reshape(60, 2, 2), LABELS, r"shape \(60, 2, 2\)"),
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
