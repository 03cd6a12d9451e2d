"""Labels and weights of examples: checked on the host before anything is traced."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from numpy.typing import ArrayLike

from jax_backprop.data.features import check_features, check_finite, plain_array
from jax_backprop.errors import InputError
from jax_backprop.types import Batch

RELABEL = (
    "Number them from 0 without gaps, or have that done: --relabel, "
    "`,relabel` at the end of the data set's name, or relabel=True."
)


def check_labels(labels: ArrayLike, *, examples: int, classes: int) -> np.ndarray:
    """Return labels checked, or raise InputError: out of range, not finite, wrong number.

    Integers, one an example, are classes; floats are numbers, a column each, and so are booleans of
    several columns; integers of more axes are ids. JAX would not notice a label out of range: it
    wraps, clamps or gives a row of zeros.

    Args:
      labels: one or a row of them an example.
      examples: how many there are.
      classes: how many there are, where they are classes.

    Example:
      >>> check_labels([0, 2, 1], examples=3, classes=3)
      array([0, 2, 1], dtype=int32)
      >>> check_labels([0.5, 1.5], examples=2, classes=0).shape
      (2, 1)
    """
    array = plain_array(labels)
    check_one_each(array, examples)
    if array.dtype.kind not in "fiub":
        raise InputError(
            "labels",
            got=f"{array.dtype}, the first of them {array[:1].tolist()[0]!r}",
            expected="integers for classes, or numbers",
            remedy=RELABEL,
        )
    if not are_classes(array):
        check_finite("labels", array)
        if array.dtype.kind in "iu":
            return array.astype(np.int32)
        numbers = array if array.dtype.kind == "f" else array.astype(np.float32)
        return numbers.reshape(examples, -1)
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if wrong.size:
        raise InputError(
            "labels",
            got=f"{array[wrong[0]]} at example {wrong[0]} ({wrong.size} such labels)",
            expected=f"0 to {classes - 1} for {classes} classes",
            remedy=RELABEL,
        )
    return array.astype(np.int32)


def are_classes(labels: np.ndarray) -> bool:
    """Tell whether labels are classes: an integer, or yes or no, for each example."""
    return labels.ndim == 1 and labels.dtype.kind in "iub"


def check_one_each(labels: np.ndarray, examples: int, what: str = "labels") -> None:
    """Raise InputError unless there is one label, or a row of them, for each example."""
    if labels.ndim == 0 or len(labels) != examples or not labels.size:
        raise InputError(
            what,
            got=f"shape {labels.shape}",
            expected=f"({examples},), one an example, or a row of them",
            remedy="Give features and labels of the same examples.",
        )


def check_batch(batch: Batch, classes: int) -> None:
    """Raise InputError for a split that can't be trained on: every leaf of its pytrees is checked.

    Args:
      batch: of any network's; integers of more axes, and integers without classes, are ids.
      classes: of the data set; 0 where labels are no classes.

    Example:
      >>> check_batch(Batch(np.ones((2, 3)), np.array([0, 1])), classes=2)
    """
    examples = batch.examples
    for leaf in jax.tree.leaves(batch.inputs):
        array = check_features(leaf) if leaf is batch.inputs else plain_array(leaf)
        check_one_each(array, examples, "features")
        check_finite("features", array)
    for leaf in jax.tree.leaves(batch.labels):
        if classes or np.ndim(leaf) > 1 or np.asarray(leaf).dtype.kind not in "iu":
            check_labels(leaf, examples=examples, classes=classes)
    if batch.weights is not None:
        check_weights(batch.weights, examples)


def check_weights(weights: ArrayLike, examples: int) -> np.ndarray:
    """Return weights of examples as floats, or raise InputError: not above 0, wrong number."""
    array = plain_array(weights)
    sound = array.shape == (examples,) and array.dtype.kind in "fiub"
    if not sound or not (np.isfinite(array) & (array > 0)).all():
        wrong = array[~(np.isfinite(array) & (array > 0))][:1] if sound else array
        raise InputError(
            "weights of examples",
            got=f"{wrong[0]}" if sound else f"{array.dtype} of shape {array.shape}",
            expected=f"finite numbers above 0, ({examples},)",
            remedy="Leave out examples that should not count.",
        )
    return array.astype(np.float64)


def relabelled(labels: list[np.ndarray]) -> tuple[list[np.ndarray], list[str]]:
    """Number the classes in the order of their labels; return the numbers and the labels as names.

    Raises InputError for labels that have no order: missing, not finite, of mixed kinds, or several
    for an example.
    """
    for each in labels:
        if each.ndim != 1:
            raise InputError(
                "labels",
                got=f"{each.dtype} of shape {each.shape}",
                expected="one label an example, to number them: (examples,)",
                remedy="Give one label an example, or leave relabel out.",
            )
    found = np.concatenate(labels)
    kind = found.dtype.kind
    if kind not in "iufUSb" or (kind == "f" and not np.isfinite(found).all()):
        wrong = found[~np.isfinite(found)][0] if kind == "f" else found.dtype
        raise InputError(
            "labels",
            got=f"{wrong}",
            expected="numbers or text, none missing",
            remedy="Fill in the missing labels, or remove their examples.",
        )
    names, numbers = np.unique(found, return_inverse=True)
    ends = np.cumsum([len(part) for part in labels])[:-1]
    return np.split(numbers.astype(np.int32), ends), [str(name) for name in names]


def name_classes(labels: list[np.ndarray]) -> list[str]:
    """Return "0", "1" ... up to the largest label; raise InputError if one between is missing."""
    found = np.concatenate(labels)
    if found.dtype.kind not in "iu" or found.size == 0:
        return ["0"]  # the check of the labels says what is wrong
    missing = np.setdiff1d(np.arange(min(int(found.max()), found.size)), found)
    if missing.size and found.min() >= 0:
        raise InputError(
            "labels",
            got=f"a largest label of {found.max()}, but none of class {missing[0]}",
            expected="0 to K-1 for K classes",
            remedy=RELABEL,
        )
    return [str(label) for label in range(int(found.max()) + 1)]


def as_told(
    labels: dict[str, np.ndarray],
    class_names: Sequence[str] | None,
    *,
    relabel: bool,
    numbers: bool,
) -> tuple[dict[str, np.ndarray], Sequence[str]]:
    """Return labels, numbered or as numbers where that is wanted, and the classes' names."""
    if relabel:
        found, names = relabelled(list(labels.values()))
        return dict(zip(labels, found, strict=True)), names
    if numbers and all(each.dtype.kind in "iub" for each in labels.values()):
        return {key: each.astype(np.float64) for key, each in labels.items()}, ()
    labels = {
        key: each.astype(np.int32) if each.dtype.kind == "b" and each.ndim == 1 else each
        for key, each in labels.items()
    }
    if class_names is None and not all(are_classes(each) for each in labels.values()):
        return labels, ()
    return labels, name_classes(list(labels.values())) if class_names is None else class_names


def name_targets(
    train: Batch, class_names: Sequence[str] | None, given: Sequence[str] | None
) -> tuple[str, ...]:
    """Return a name for each column of numbers; () for classes."""
    if class_names or train.labels is None:
        return ()
    columns = train.labels.shape[1]
    names = [f"target {n}" for n in range(columns)] if given is None else given
    if len(names) != columns:
        raise InputError(
            "target_names",
            got=f"{len(names)} names",
            expected=f"{columns}, one a column of the labels",
            remedy="Give one each, or none.",
        )
    return tuple(names)
