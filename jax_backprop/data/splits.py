"""Any arrays as a Dataset: checked, and split where they are not; all of it recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import jax
import numpy as np
from numpy.typing import ArrayLike

from jax_backprop.data.features import (
    Standardize,
    as_float32,
    check_features,
    plain_array,
    scaled_on_host,
    standardizing,
    warn_of_constants,
)
from jax_backprop.data.labels import as_told, check_labels, check_one_each, name_targets
from jax_backprop.data.stratified import completed
from jax_backprop.errors import InputError
from jax_backprop.recipes import Column
from jax_backprop.types import Batch, Dataset, Scaling

BYTES = Scaling(1 / 255)

Pair: TypeAlias = tuple[ArrayLike, ArrayLike | None]


def make_dataset(
    inputs: ArrayLike,
    labels: ArrayLike | None,
    *,
    validation: Pair | None = None,
    test: Pair | None = None,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    target_names: Sequence[str] | None = None,
    split_seed: int = 0,
    source: str = "arrays in memory",
    relabel: bool = False,
    numbers: bool = False,
    ids: bool = False,
    standardize: Standardize = False,
    scaling: Scaling | None = None,
    example_shape: tuple[int, ...] = (),
) -> Dataset:
    """Check arrays and split what isn't split, seeded, classes in proportion.

    Without ``validation`` and ``test``: 70% train, 10% validation, 20% test. With a test split of
    their own: a tenth of the rest, at most 5,000 examples, is held out for validation.

    Args:
      inputs: (examples, features), finite. Bytes (uint8) are kept as such, and scaled to 0..1 or
        standardized inside the compiled program; floats are used as they are.
      labels: integers 0..K-1 (examples,) are classes; floats, one or a row an example, are numbers,
        and so are rows of yes and no; rows of integers stay as they are. None: the inputs are to be
        told (an autoencoder).
      validation, test: further pairs (inputs, labels), if the source comes split.
      name, source, example_shape: for the record.
      class_names: one a class; by default "0", "1" ... up to the largest label.
      target_names: one a column of numbers; by default "target 0" ...
      split_seed: of what is split here.
      relabel: take any labels, and number the classes in their order.
      numbers: integer labels are numbers, such as counts, not classes.
      ids: integer features stay integers, such as a text's tokens, for a network of one's own.
      standardize: scale each feature to mean 0 and standard deviation 1 over the train split; a
        Scaling in its place is taken as it is.
      scaling: another scaling of the features.

    Returns:
      The set on the host: train, validation and test, and how they came about.

    Raises:
      InputError: anything above doesn't hold, or a class has too few examples to split.

    Example:
      >>> import numpy as np, jax_backprop as jb
      >>> inputs = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
      >>> data = jb.make_dataset(inputs, np.arange(100) % 2)
      >>> {name: split.examples for name, split in data.splits.items()}
      {'train': 69, 'validation': 10, 'test': 21}
      >>> jb.make_dataset(inputs, inputs.sum(axis=1)).train.labels.shape  # numbers
      (69, 1)
    """
    _check_used(
        split_seed if validation is not None and test is not None else 0,
        class_names if relabel else None,
        scaling if standardize and plain_array(inputs).dtype == np.uint8 else None,
    )
    given = {"train": (inputs, labels), "validation": validation, "test": test}
    parts = {key: pair for key, pair in given.items() if pair is not None}
    features = {key: _features(pair[0], standardize, ids) for key, pair in parts.items()}
    _check_widths(features)
    if labels is None:
        batches = {key: Batch(rows) for key, rows in features.items()}
    else:
        found = {key: plain_array(pair[1]) for key, pair in parts.items()}
        for key, each in found.items():
            check_one_each(each, len(features[key]))
        found, class_names = as_told(found, class_names, relabel=relabel, numbers=numbers)
        classes = len(class_names)
        batches = {
            key: Batch(rows, check_labels(found[key], examples=len(rows), classes=classes))
            for key, rows in features.items()
        }
    train, held_out, tested, how = completed(batches, len(class_names or ()), split_seed)
    return assemble(
        train,
        held_out,
        tested,
        name=name,
        class_names=class_names or (),
        target_names=name_targets(batches["train"], class_names, target_names),
        source=source,
        split_seed=split_seed,
        split=how,
        standardize=standardize,
        scaling=scaling,
        example_shape=example_shape,
        checksum=array_checksum(batches.values()),
    )


def assemble(
    train: Batch,
    validation: Batch,
    test: Batch,
    *,
    name: str,
    class_names: Sequence[str],
    target_names: tuple[str, ...] = (),
    source: str,
    split_seed: int,
    split: str,
    standardize: Standardize = False,
    scaling: Scaling | None = None,
    example_shape: tuple[int, ...] = (),
    checksum: str | None = None,
    recipe: tuple[Column, ...] = (),
    feature_names: tuple[str, ...] = (),
) -> Dataset:
    """Return checked splits as a Dataset, with the scaling that their features need."""
    checksum = checksum or array_checksum([train, validation, test])
    in_bytes = train.inputs.dtype == np.uint8
    if scaling is None:
        scaling = BYTES if in_bytes else Scaling()
    standardization = None
    if standardize:
        if isinstance(standardize, Scaling):
            standardization = standardize
        else:
            standardization = standardizing(np.asarray(train.inputs))
            warn_of_constants(standardization)
        if in_bytes:
            scaling = standardization
        else:
            train, validation, test = (
                each._replace(inputs=scaled_on_host(standardization, np.asarray(each.inputs)))
                for each in (train, validation, test)
            )
    return Dataset(
        name=f"{name},standardize" if standardize else name,
        train=train,
        validation=validation,
        test=test,
        class_names=tuple(class_names),
        target_names=target_names,
        source=source,
        split_seed=split_seed,
        checksum=checksum,
        scaling=scaling,
        standardization=standardization,
        split=split,
        example_shape=example_shape,
        recipe=recipe,
        feature_names=feature_names,
    )


def _features(given: ArrayLike, standardize: Standardize, ids: bool) -> np.ndarray:
    """Return checked features; integers become float32 here, unless they are scaled first."""
    found = check_features(given, ids=ids)
    if ids:
        return found
    whole = plain_array(given).dtype.kind != "f" and found.dtype != np.uint8
    return as_float32(found) if whole and not standardize else found


def array_checksum(batches: Iterable[Batch]) -> str:
    """Return the SHA-256 over the arrays of some batches, in order."""
    digest = hashlib.sha256()
    for batch in batches:
        for array in jax.tree.leaves(batch):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class UnusedSplitSeedError(InputError):
    """A seed of a split for data that come split."""


def _check_used(split_seed: int, names: Sequence[str] | None, scaling: Scaling | None) -> None:
    """Raise InputError for an argument that the others leave nothing to do."""
    if split_seed:
        raise UnusedSplitSeedError(
            "split_seed",
            got=split_seed,
            expected="0 for data that come split",
            remedy="It would do nothing.",
        )
    for what, given, expected in (
        ("class_names", names, "none beside relabel, which names the classes by their labels"),
        ("scaling", scaling, "none beside standardize, which scales bytes by their statistics"),
    ):
        if given is not None:
            raise InputError(what, got=given, expected=expected, remedy="It would do nothing.")


def _check_widths(features: dict[str, np.ndarray]) -> None:
    expected = features["train"]
    for key, found in features.items():
        if (found.shape[1:], found.dtype) != (expected.shape[1:], expected.dtype):
            raise InputError(
                f"features of {key}",
                got=f"{_shape(found)} of {found.dtype}",
                expected=f"{_shape(expected)} of {expected.dtype}, as in train",
                remedy="Make the splits alike.",
            )


def _shape(features: np.ndarray) -> str:
    return " x ".join(map(str, features.shape[1:]))
