"""``load_dataset``: any name to a Dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from jax_backprop.data.cache import OnProgress, is_current, read_arrays
from jax_backprop.data.embedded import load_digits, load_noise
from jax_backprop.data.features import Standardize
from jax_backprop.data.files import load_npz
from jax_backprop.data.names import TABLES, DatasetName, parse_name
from jax_backprop.data.preparation import BUILT_HERE, not_prepared, prepare, set_name
from jax_backprop.data.prepared import check_readable, find_prepared
from jax_backprop.data.splits import array_checksum, make_dataset
from jax_backprop.data.tables import load_table
from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named
from jax_backprop.recipes import Column
from jax_backprop.types import Dataset, Scaling


class _Shared(TypedDict):
    split_seed: int
    standardize: Standardize


@extras_named()
def load_dataset(
    name: str,
    *,
    split_seed: int = 0,
    data_dir: Path | None = None,
    on_progress: OnProgress | None = None,
    scaling: Scaling | None = None,
    recipe: tuple[Column, ...] = (),
) -> Dataset:
    """Load a data set by name.

    Args:
      name: ``digits``, ``mnist``, ``fashion_mnist``, ``tfds:NAME``, ``npz:FILE``, ``csv:FILE``,
        ``parquet:FILE``, ``arrow:FILE`` or ``noise:EXAMPLES,FEATURES,CLASSES``, with options after
        commas, as in ``csv:iris.csv,label=species,relabel``: ``label=COLUMN`` and others of tables
        (``names.Columns``), ``relabel``, ``numbers``, ``reconstruct``, ``balanced``, and
        ``standardize`` (``names.DatasetName``).
      split_seed: of what the source leaves to be split.
      data_dir: the folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR, or the user's cache.
      scaling: of the source's features, in place of statistics of their own: what a model was
        trained with (``Dataset.of_source``).
      recipe: what became of a table's columns that a model was trained on, to be done again.
      on_progress: called while the arrays of a prepared set are written, the first time.

    Returns:
      The set on the host: train, validation and test, and where they came from.

    Raises:
      InputError: an unknown name (the nearest is named), a set that isn't prepared, damaged files,
        or data that can't be learned from.
      MissingExtraError: the set needs a library that isn't installed.

    Example:
      >>> import jax_backprop as jb
      >>> data = jb.load_dataset("digits")
      >>> {name: split.examples for name, split in data.splits.items()}
      {'train': 1257, 'validation': 180, 'test': 360}
    """
    parsed = parse_name(name)
    if data_dir is not None and parsed.kind not in (*BUILT_HERE, "tfds"):
        raise InputError(
            "data folder (--data-dir)",
            got=f"{data_dir} for {name}",
            expected=f"none but for {', '.join(BUILT_HERE)} and tfds:NAME, which lie prepared",
            remedy="Leave it out.",
        )
    standardize: Standardize = parsed.standardize if scaling is None else scaling
    shared = _Shared(split_seed=split_seed, standardize=standardize)
    return _weighed(_loaded(parsed, data_dir, on_progress, shared, recipe), parsed)


def _loaded(
    parsed: DatasetName,
    data_dir: Path | None,
    on_progress: OnProgress | None,
    shared: _Shared,
    recipe: tuple[Column, ...],
) -> Dataset:
    match parsed.kind:
        case "digits":
            return load_digits(**shared)
        case "noise":
            return load_noise(parsed.argument, **shared)
        case "npz":
            kinds = {kind: getattr(parsed, kind) for kind in ("relabel", "numbers", "ids")}
            return load_npz(Path(parsed.argument), **kinds, **shared)
        case _ if parsed.kind in TABLES:
            return load_table(parsed, recipe=recipe, **shared)
        case _:
            return _load_prepared(parsed, data_dir, on_progress, **shared)


def _weighed(data: Dataset, parsed: DatasetName) -> Dataset:
    """Return data as the end of their name asks: without labels, or with classes that balance.

    The weight of a class is inverse to its share of the train split; their mean there is 1.
    """
    if parsed.reconstruct and data.train.labels is not None:
        parts = {key: split._replace(labels=None) for key, split in data.splits.items()}
        data = replace(data, **parts, class_names=(), target_names=())
        return _renamed(data, ",reconstruct")
    if not parsed.balanced:
        return data
    if not data.classes:
        raise InputError(
            "data set",
            got=f"'balanced' for {data.name}, whose labels are numbers",
            expected="classes",
            remedy="Leave it out, or name a column of weights: weights=COLUMN.",
        )
    counts = np.bincount(np.asarray(data.train.labels), minlength=data.classes)
    of_class = (data.train.examples / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(
        np.float32
    )
    parts = {
        key: split._replace(weights=of_class[np.asarray(split.labels)])
        for key, split in data.splits.items()
    }
    return _renamed(replace(data, **parts), ",balanced")


def _renamed(data: Dataset, option: str) -> Dataset:
    base = data.name.removesuffix(",standardize")
    name = base + option + data.name.removeprefix(base)
    return replace(data, name=name, checksum=array_checksum(data.splits.values()))


def _load_prepared(
    name: DatasetName,
    data_dir: Path | None,
    on_progress: OnProgress | None,
    *,
    split_seed: int,
    standardize: Standardize,
) -> Dataset:
    """Load a set from its arrays, which are written now if only the prepared set is there."""
    called = set_name(name)
    prepared = find_prepared(called, data_dir)
    arrays = read_arrays(called, data_dir)
    if arrays is None or not is_current(arrays.meta, prepared):
        if prepared is None or (name.kind in BUILT_HERE and not prepared.readable):
            raise not_prepared(name, data_dir)
        check_readable(prepared, called)
        prepare(name, data_dir=data_dir, on_progress=on_progress)
        arrays = read_arrays(called, data_dir)
        assert arrays is not None
    return make_dataset(
        *arrays.splits["train"],
        validation=arrays.splits.get("validation"),
        test=arrays.splits.get("test"),
        name=str(name._replace(standardize=False)),
        class_names=arrays.meta.class_names,
        split_seed=split_seed,
        source=f"{called} {arrays.meta.version}, tensorflow-datasets; {arrays.meta.homepage}",
        standardize=standardize,
        example_shape=tuple(arrays.meta.example_shape),
    )
