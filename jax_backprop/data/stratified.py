"""Rows held out by class: scikit-learn's stratified split, without the second its import takes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.types import Batch

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2
MOST_VALIDATION = 5_000  # of a source's train split: enough to tell 0.2% of accuracy
_SHARES = "70% train, 10% validation, 20% test"
FEWEST_TO_SPLIT = 10  # examples of a class, so that a tenth of them is one


def hold_out(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and the rows that are held out, each class split in proportion.

    Row for row what ``sklearn.model_selection.train_test_split(rows, test_size=share,
    stratify=labels, random_state=seed)`` gives, which the tests compare: the splits of studies that
    were made with it stay as they are. Every command starts with a split, and importing
    scikit-learn for it took as long as importing JAX.

    Args:
      labels: (examples,).
      share: of the examples, in (0, 1); their number is rounded up.
      seed: 0 to 2**32 - 1.
    """
    generator = np.random.RandomState(seed)
    held_out = math.ceil(share * len(labels))
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows_by_class = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    staying = _apportion(counts, len(labels) - held_out, generator)
    _apportion(counts - staying, held_out, generator)  # gives the rest, but rounding may draw
    shuffled = [rows[generator.permutation(len(rows))] for rows in rows_by_class]
    pairs = list(zip(shuffled, staying, strict=True))
    kept = generator.permutation(np.concatenate([rows[:count] for rows, count in pairs]))
    off = generator.permutation(np.concatenate([rows[count:] for rows, count in pairs]))
    return kept, off


def _apportion(counts: np.ndarray, total: int, generator: np.random.RandomState) -> np.ndarray:
    """Return how many of ``total`` fall to each class: by largest remainder, ties drawn."""
    exact = counts / counts.sum() * total
    found = np.floor(exact)
    remainders = exact - found
    left = int(total - found.sum())
    for remainder in np.unique(remainders)[::-1]:
        if left <= 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        drawn = generator.choice(tied, size=min(len(tied), left), replace=False)
        found[drawn] += 1
        left -= len(drawn)
    return found.astype(int)


class Rows(NamedTuple):
    """Which rows of a whole are train, validation and test, and how they were chosen."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    how: str


def split_rows(
    whole: Batch,
    classes: int,
    seed: int,
    *,
    groups: np.ndarray | None = None,
    time: np.ndarray | None = None,
) -> Rows:
    """Split what isn't split: 70% train, 10% validation, 20% test.

    Args:
      whole: the examples.
      classes: in proportion in each part; 0 for labels that are no classes.
      seed: of what is drawn.
      groups: (examples,), of which none is split.
      time: (examples,): the last are the test split, those before them validation.
    """
    kinds = _kinds(whole, classes, FEWEST_TO_SPLIT)
    shares = f"{_SHARES}{', by class' if classes else ''}"
    rows = np.arange(whole.examples)
    held_out = VALIDATION_FRACTION + TEST_FRACTION
    if time is not None:
        order = np.argsort(time, kind="stable")
        ends = [round((1 - held_out) * len(rows)), round((1 - TEST_FRACTION) * len(rows))]
        train, validation, test = np.split(order, ends)
        return Rows(train, validation, test, f"{_SHARES}, in the order of time")
    if groups is not None:
        return _by_group(groups, held_out, seed)
    kept, rest = _hold_out(rows, kinds, held_out, seed)
    off, last = _hold_out(rest, kinds, TEST_FRACTION / held_out, seed)
    return Rows(kept, off, last, shares)


def _by_group(groups: np.ndarray, held_out: float, seed: int) -> Rows:
    """Split by whole groups, drawn one after another until a part has its share."""
    texts = np.asarray([str(group) for group in groups])
    names, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
    if len(names) < FEWEST_TO_SPLIT:
        raise InputError(
            "groups",
            got=f"{len(names)} of them",
            expected=f"at least {FEWEST_TO_SPLIT}, whole ones in each of train, validation, test",
            remedy="Name a column of more groups, or leave group out.",
        )
    order = np.random.RandomState(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    share = before / len(groups)
    part = np.digitize(share, [TEST_FRACTION, held_out])  # 0 test, 1 validation, 2 train
    of_group = np.empty(len(names), int)
    of_group[order] = part
    test, validation, train = (np.flatnonzero(of_group[codes] == each) for each in range(3))
    return Rows(train, validation, test, f"{_SHARES}, of {len(names):,} whole groups")


def completed(
    batches: dict[str, Batch], classes: int, seed: int
) -> tuple[Batch, Batch, Batch, str]:
    """Return train, validation and test, the missing ones split off from train; and how."""
    train, validation, test = batches["train"], batches.get("validation"), batches.get("test")
    if validation is None and test is None:
        *rows, how = split_rows(train, classes, seed)
        kept, off, last = (train.take(each) for each in rows)
        return kept, off, last, how
    if validation is not None and test is not None:
        _kinds(train, classes, 1)
        return train, validation, test, "the source's train, validation and test"
    examples, kinds = train.examples, _kinds(train, classes, FEWEST_TO_SPLIT)
    if test is not None:
        name, size = "validation", min(VALIDATION_FRACTION, MOST_VALIDATION / examples)
    else:
        name, size = "test", TEST_FRACTION
    # In the source's order: a memory map is read from front to back.
    parts = _hold_out(np.arange(examples), kinds, size, seed)
    kept, off = (train.take(np.sort(part)) for part in parts)
    by_class = ", by class" if classes else ""
    how = f"{name} is {off.examples:,} of the source's {examples:,} train examples{by_class}"
    return kept, validation or off, test or off, how


def _kinds(train: Batch, classes: int, fewest: int) -> np.ndarray:
    """Return what each part has in proportion: classes, or nothing; check that there's enough."""
    if not classes:
        _check_examples(train.examples, fewest)
        return np.zeros(train.examples, np.int32)
    labels = np.asarray(train.labels)
    _check_classes(labels, classes, fewest=fewest)
    return labels


def _hold_out(
    rows: np.ndarray, labels: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and the share that is held out, every class in its part."""
    kept, off = hold_out(labels[rows], share, seed)
    return rows[kept], rows[off]


def _check_examples(examples: int, fewest: int) -> None:
    if examples < fewest:
        raise InputError(
            "examples",
            got=examples,
            expected=f"at least {fewest}",
            remedy="Add examples, or give the splits.",
        )


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
