"""Any arrays as a Dataset: checked on the host, before anything is traced, then split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jax_backprop.errors import InputError
from jax_backprop.types import Batch, Dataset

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2


def check_features(inputs: ArrayLike) -> np.ndarray:
    """Return features as float (examples, features), or raise InputError: empty, text, NaN."""
    array = np.asarray(inputs)
    if array.dtype.kind not in "fiub" or array.ndim != 2:
        raise InputError(
            "features",
            got=f"{array.dtype} of shape {array.shape}",
            expected="numbers of shape (examples, features)",
            remedy="Reshape each example to one row; turn text and categories into numbers.",
        )
    if array.size == 0:
        raise InputError(
            "features",
            got=f"an empty array of shape {array.shape}",
            expected="at least one example of at least one feature",
            remedy="Check how the data was read.",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, column = (int(part) for part in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            "features",
            got=f"{array[row, column]} at example {row}, feature {column}",
            expected="finite numbers",
            remedy="Remove such examples, or fill in the missing values.",
        )
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def check_labels(labels: ArrayLike, *, examples: int, classes: int) -> np.ndarray:
    """Return labels as int32, or raise InputError: not integers, out of range, wrong number.

    JAX would not notice: an index out of range wraps, clamps or gives a row of zeros.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or array.shape[0] != examples:
        raise InputError(
            "labels",
            got=f"shape {array.shape}",
            expected=f"({examples},), one label an example",
            remedy="Give class numbers, not one-hot rows, for the same examples as the features.",
        )
    if array.dtype.kind not in "iu":
        raise InputError(
            "labels",
            got=f"{array.dtype}, the first of them {array[0]!r}",
            expected="integers",
            remedy="Convert them with .astype(int) if they are whole numbers, or number them.",
        )
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if wrong.size:
        raise InputError(
            "labels",
            got=f"{array[wrong[0]]} at example {wrong[0]} ({wrong.size} such labels)",
            expected=f"0 to {classes - 1} for {classes} classes",
            remedy="Number the classes from 0 without gaps, or give all the classes' names.",
        )
    return array.astype(np.int32)


def make_dataset(
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    split_seed: int = 0,
    source: str = "arrays in memory",
) -> Dataset:
    """Check arrays and split them, seeded and stratified: 70% train, 10% validation, 20% test.

    Args:
      inputs: (examples, features), finite; used as they are, so scale them first.
      labels: (examples,), integers 0..K-1.
      name, source: for the record.
      class_names: one a class; by default "0", "1" ... up to the largest label.
      split_seed: of the split.

    Raises:
      InputError: anything above doesn't hold, or a class has too few examples to split.
    """
    features = check_features(inputs)
    found = np.asarray(labels)
    if class_names is None:
        largest = int(found.max()) if found.size and found.dtype.kind in "iu" else 0
        class_names = [str(label) for label in range(largest + 1)]
    checked = check_labels(found, examples=len(features), classes=len(class_names))
    train, validation, test = _stratified_split(checked, len(class_names), split_seed)

    def take(rows: np.ndarray) -> Batch:
        return Batch(features[rows], checked[rows])

    return Dataset(
        name=name,
        train=take(train),
        validation=take(validation),
        test=take(test),
        class_names=tuple(class_names),
        source=source,
        split_seed=split_seed,
        checksum=hashlib.sha256(features.tobytes() + checked.tobytes()).hexdigest(),
    )


def _stratified_split(
    labels: np.ndarray, classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of train, validation and test, each with every class in its share."""
    from sklearn.model_selection import train_test_split  # half a second: only where it is used

    counts = np.bincount(labels, minlength=classes)
    if counts.min() < 5 or classes < 2:
        raise InputError(
            "labels",
            got=f"{counts.min()} examples of class {counts.argmin()}, {classes} classes",
            expected="at least two classes with at least 5 examples each, to split them",
            remedy="Add examples, or leave the rare classes out.",
        )
    rows = np.arange(len(labels))
    held_out = VALIDATION_FRACTION + TEST_FRACTION
    train, rest = train_test_split(rows, test_size=held_out, stratify=labels, random_state=seed)
    validation, test = train_test_split(
        rest, test_size=TEST_FRACTION / held_out, stratify=labels[rest], random_state=seed
    )
    return np.asarray(train), np.asarray(validation), np.asarray(test)
