"""Sets that tensorflow-datasets has prepared: where they lie, reading them without TensorFlow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jax_backprop.errors import InputError, whole_number
from jax_backprop.reading import read_json

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

INFO = "dataset_info.json"
FOLDER_VARIABLE = "JAX_BACKPROP_DATA_DIR"
READ_AT_ONCE = 1_000  # examples


class Prepared(NamedTuple):
    """A prepared set: its folder, as in ``mnist/3.0.1``, and the format of its files."""

    folder: Path
    version: str
    file_format: str

    @property
    def readable(self) -> bool:
        """Whether it can be read without TensorFlow."""
        return self.file_format == "array_record"


class Features(NamedTuple):
    """What a prepared set's examples are like, by its own description."""

    splits: dict[str, int]
    inputs: str
    label: str
    shape: tuple[int, ...]
    dtype: np.dtype
    class_names: tuple[str, ...]


def data_folder(data_dir: Path | None = None) -> Path:
    """Return the folder of data sets: as given, or $JAX_BACKPROP_DATA_DIR, or the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return data_dir or Path(os.environ.get(FOLDER_VARIABLE) or cache / "jax_backprop").expanduser()


def tfds_folder() -> Path:
    """Return the folder where tensorflow-datasets itself prepares sets unless told otherwise."""
    chosen = os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets"
    return Path(chosen).expanduser()


def find_prepared(name: str, data_dir: Path | None = None) -> Prepared | None:
    """Find ``NAME``, ``NAME/CONFIG`` or ``NAME:VERSION`` in our data folder, then in tfds's own.

    The highest version in a format that can be read without TensorFlow; else one that can't.
    """
    path, _, wanted = name.partition(":")
    found = [
        _describe(info.parent)
        for root in (data_folder(data_dir), tfds_folder())
        for info in sorted((root / path).glob(f"*/{INFO}"), key=_version, reverse=True)
        if wanted in ("", info.parent.name)
    ]
    return next((each for each in found if each.readable), found[0] if found else None)


def check_readable(prepared: Prepared, name: str) -> None:
    """Raise InputError for a set in another format than ArrayRecord."""
    if not prepared.readable:
        raise InputError(
            f"data set {name}",
            got=f"{prepared.folder}, prepared as {prepared.file_format}",
            expected="array_record, which is read without TensorFlow",
            remedy="Prepare it in another folder (--data-dir, or $JAX_BACKPROP_DATA_DIR), by "
            f'tfds.builder("{name}", data_dir=..., file_format="array_record")'
            ".download_and_prepare(); nothing was changed here.",
        )


def read_features(builder: DatasetBuilder, name: str) -> Features:
    """Return what a set's examples are like, or raise InputError if they don't fit a network."""
    keys = builder.info.supervised_keys
    features: Any = builder.info.features  # typed as any nest of features of any kind
    match keys:
        case (str(inputs), str(label)):
            shape, dtype = features[inputs].shape, np.dtype(features[inputs].np_dtype)
        case _:
            raise _unfit(name, f"supervised keys {keys}", "one input and one label")
    if None in shape or dtype.kind not in "fiub":
        raise _unfit(name, f"{inputs} of {dtype}, shape {shape}", "numbers of one fixed shape")
    names = getattr(features[label], "names", None)
    if not names or features[label].shape != ():
        raise _unfit(name, f"{label}, which is {features[label]}", "a ClassLabel")
    splits = {key: split.num_examples for key, split in builder.info.splits.items()}
    kept = {key: splits[key] for key in ("train", "validation", "test") if splits.get(key)}
    if "train" not in kept:
        raise _unfit(name, f"splits {', '.join(splits)}", "a split named train")
    return Features(kept, inputs, label, tuple(shape), dtype, tuple(names))


def read_examples(
    builder: DatasetBuilder, features: Features, split: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield inputs, laid flat, and labels of a split, a thousand examples at a time."""
    open_split: Any = builder.as_data_source  # whose decorator hides its parameters
    source = open_split(split)
    dtype = np.uint8 if features.dtype == np.uint8 else np.float32
    for start in range(0, len(source), READ_AT_ONCE):
        rows = range(start, min(len(source), start + READ_AT_ONCE))
        try:
            examples = source.__getitems__(list(rows))
        except OSError as error:  # pillow's for a damaged picture: not one of the system's
            raise ValueError(f"{split} examples {start} to {rows[-1]}: {error}") from error
        inputs = np.stack([np.ravel(each[features.inputs]) for each in examples])
        labels = np.array([each[features.label] for each in examples])
        yield inputs.astype(dtype, copy=False), labels.astype(np.int32)


def open_builder(folder: Path) -> DatasetBuilder:
    """Return a tensorflow-datasets builder of a prepared folder, that reads only."""
    import tensorflow_datasets as tfds
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # it recommends OpenCV at every start
    return tfds.builder_from_directory(folder)


def _describe(folder: Path) -> Prepared:
    info = {}
    with contextlib.suppress(InputError):
        info = read_json(folder / INFO, what="", expected="", remedy="")
    return Prepared(folder, folder.name, str(info.get("fileFormat", "tfrecord")))


def _version(info: Path) -> tuple[int, ...]:
    parts = [whole_number(part) for part in info.parent.name.split(".")]
    return tuple(part for part in parts if part is not None) if None not in parts else ()


def _unfit(name: str, got: str, expected: str) -> InputError:
    return InputError(
        f"data set tfds:{name}", got=got, expected=expected, remedy="Choose a classification set."
    )
