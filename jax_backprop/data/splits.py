"""Any arrays as a Dataset: checked, and split where they are not; all of it recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from jax_backprop.data.features import (
    Standardize,
    as_float32,
    check_features,
    check_labels,
    check_one_each,
    name_classes,
    plain_array,
    relabelled,
    scaled_on_host,
    standardizing,
    warn_of_constants,
)
from jax_backprop.data.stratified import hold_out
from jax_backprop.errors import InputError
from jax_backprop.types import Batch, Dataset, Scaling

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2
MOST_VALIDATION = 5_000  # of a source's train split: enough to tell 0.2% of accuracy
BYTES = Scaling(1 / 255)
FEWEST_TO_SPLIT = 10  # examples of a class, so that a tenth of them is one

Pair: TypeAlias = tuple[ArrayLike, ArrayLike]


def make_dataset(
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    validation: Pair | None = None,
    test: Pair | None = None,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    split_seed: int = 0,
    source: str = "arrays in memory",
    relabel: bool = False,
    standardize: Standardize = False,
    scaling: Scaling | None = None,
    example_shape: tuple[int, ...] = (),
) -> Dataset:
    """Check arrays and split what isn't split, seeded and stratified.

    Without ``validation`` and ``test``: 70% train, 10% validation, 20% test. With a test split of
    their own: a tenth of the rest, at most 5,000 examples, is held out for validation.

    Args:
      inputs: (examples, features), finite. Bytes (uint8) are kept as such, and scaled to 0..1 or
        standardized inside the compiled program; floats are used as they are.
      labels: (examples,), integers 0..K-1.
      validation, test: further pairs (inputs, labels), if the source comes split.
      name, source, example_shape: for the record.
      class_names: one a class; by default "0", "1" ... up to the largest label.
      split_seed: of what is split here.
      relabel: take any labels, and number the classes in their order.
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
      >>> {name: len(split.labels) for name, split in data.splits.items()}
      {'train': 69, 'validation': 10, 'test': 21}
    """
    _check_used(
        split_seed if validation is not None and test is not None else 0,
        class_names if relabel else None,
        scaling if standardize and plain_array(inputs).dtype == np.uint8 else None,
    )
    given = {"train": (inputs, labels), "validation": validation, "test": test}
    parts = {key: pair for key, pair in given.items() if pair is not None}
    features = {key: _features(pair[0], standardize) for key, pair in parts.items()}
    _check_widths(features)
    found = [plain_array(pair[1]) for pair in parts.values()]
    for rows, each in zip(features.values(), found, strict=True):
        check_one_each(each, len(rows))
    if relabel:
        found, class_names = relabelled(found)
    elif class_names is None:
        class_names = name_classes(found)
    batches = {
        key: Batch(rows, check_labels(each, examples=len(rows), classes=len(class_names)))
        for (key, rows), each in zip(features.items(), found, strict=True)
    }
    train, held_out, tested, how = _complete(batches, len(class_names), split_seed)
    return assemble(
        train,
        held_out,
        tested,
        name=name,
        class_names=class_names,
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
    source: str,
    split_seed: int,
    split: str,
    standardize: Standardize = False,
    scaling: Scaling | None = None,
    example_shape: tuple[int, ...] = (),
    checksum: str | None = None,
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
        source=source,
        split_seed=split_seed,
        checksum=checksum,
        scaling=scaling,
        standardization=standardization,
        split=split,
        example_shape=example_shape,
    )


def _features(given: ArrayLike, standardize: Standardize) -> np.ndarray:
    """Return checked features; integers become float32 here, unless they are scaled first."""
    found = check_features(given)
    whole = plain_array(given).dtype.kind != "f" and found.dtype != np.uint8
    return as_float32(found) if whole and not standardize else found


def array_checksum(batches: Iterable[Batch]) -> str:
    """Return the SHA-256 over the arrays of some batches, in order."""
    digest = hashlib.sha256()
    for batch in batches:
        for array in batch:
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
        if (found.shape[1], found.dtype) != (expected.shape[1], expected.dtype):
            raise InputError(
                f"features of {key}",
                got=f"{found.shape[1]} of {found.dtype}",
                expected=f"{expected.shape[1]} of {expected.dtype}, as in train",
                remedy="Make the splits alike.",
            )


def _complete(
    batches: dict[str, Batch], classes: int, seed: int
) -> tuple[Batch, Batch, Batch, str]:
    """Return train, validation and test, the missing ones split off from train; and how."""
    train, validation, test = batches["train"], batches.get("validation"), batches.get("test")
    labels = np.asarray(train.labels)
    fewest = FEWEST_TO_SPLIT if validation is None or test is None else 1
    _check_classes(labels, classes, fewest=fewest)
    if validation is not None and test is not None:
        return train, validation, test, "the source's train, validation and test"
    rows, examples = np.arange(len(labels)), len(labels)
    if validation is None and test is None:
        held_out = VALIDATION_FRACTION + TEST_FRACTION
        kept, rest = _hold_out(rows, labels, held_out, seed)
        off, last = _hold_out(rest, labels, TEST_FRACTION / held_out, seed)
        how = "70% train, 10% validation, 20% test, by class"
        return _take(train, kept), _take(train, off), _take(train, last), how
    if test is not None:
        name, size = "validation", min(VALIDATION_FRACTION, MOST_VALIDATION / examples)
    else:
        name, size = "test", TEST_FRACTION
    # In the source's order: a memory map is read from front to back.
    kept, off = (_take(train, np.sort(part)) for part in _hold_out(rows, labels, size, seed))
    how = f"{name} is {len(off.labels):,} of the source's {examples:,} train examples, by class"
    return kept, validation or off, test or off, how


def _take(batch: Batch, rows: np.ndarray) -> Batch:
    return Batch(batch.inputs[rows], batch.labels[rows])


def _hold_out(
    rows: np.ndarray, labels: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and the share that is held out, every class in its part."""
    kept, off = hold_out(labels[rows], share, seed)
    return rows[kept], rows[off]


def _check_classes(labels: np.ndarray, classes: int, *, fewest: int) -> None:
    counts = np.bincount(labels, minlength=classes)
    present = np.flatnonzero(counts)
    rarest = present[counts[present].argmin()]
    if counts[rarest] < fewest or len(present) < 2:
        raise InputError(
            "labels",
            got=f"{counts[rarest]} examples of class {rarest}, {len(present)} classes",
            expected=f"at least two classes with at least {fewest} examples each",
            remedy="Add examples, or leave the rare classes out.",
        )
