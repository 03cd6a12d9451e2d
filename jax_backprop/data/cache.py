"""Data sets as memory-mapped arrays: written once, whole or not at all, verified at each start."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from jax_backprop.data.prepared import (
    INFO,
    Features,
    Prepared,
    data_folder,
    find_prepared,
    open_builder,
    read_examples,
    read_features,
)
from jax_backprop.errors import InputError
from jax_backprop.fields import PositiveInt, Settings
from jax_backprop.parsing import parse
from jax_backprop.reading import read_json
from jax_backprop.storage import file_sha256, remove_leftovers, write_folder

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

META = "set.json"
SUMS = "SHA256SUMS"
SPLITS = ("train", "validation", "test")

OnProgress = Callable[[str, int, int | None], None]


class Meta(Settings, frozen=True):
    """What a folder's set.json says."""

    name: str
    version: str
    examples: dict[Literal["train", "validation", "test"], PositiveInt]
    example_shape: list[int]
    class_names: list[str]
    prepared: str
    fingerprint: str
    homepage: str
    citation: str


class Arrays(NamedTuple):
    """A cached set: a pair of arrays for each of the source's splits, and what they are."""

    folder: Path
    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    meta: Meta


def arrays_folder(name: str, data_dir: Path | None = None) -> Path:
    """Return where a set's arrays lie, whether or not they do."""
    plain = name.replace("/", "--").replace(":", "--")
    return data_folder(data_dir) / "arrays" / plain


def fingerprint(prepared: Prepared) -> str:
    """Return what tells one preparation of a set from another: the hash of its description."""
    return file_sha256(prepared.folder / INFO)


def is_current(meta: Meta, prepared: Prepared | None) -> bool:
    """Tell whether arrays are of the set as it lies there now, if it does."""
    return prepared is None or not prepared.readable or meta.fingerprint == fingerprint(prepared)


def read_meta(folder: Path) -> Meta | None:
    """Return what a folder's arrays are; None if it holds none."""
    path = folder / META
    try:
        return parse(Meta, read_json(path, what="arrays", expected="", remedy=""), str(path))
    except InputError:
        return None


def write_arrays(
    name: str, prepared: Prepared, folder: Path, on_progress: OnProgress | None = None
) -> None:
    """Read a prepared set and write its arrays; raise InputError, writing none, if it's damaged."""
    remove_leftovers(folder.parent, f".{folder.name}.*")
    try:
        builder = open_builder(prepared.folder)
        features = read_features(builder, name)
        write_folder(folder, _files(name, prepared, builder, features, on_progress))
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes of protobuf, riegeli or pillow
        raise InputError(
            f"data set {name}",
            got=f"{prepared.folder}, which can't be read ({type(error).__name__}: {error})",
            expected="an undamaged set prepared by tensorflow-datasets",
            remedy=f"Remove that folder, then run `jax-backprop data prepare {name}`.",
        ) from error


def read_arrays(name: str, data_dir: Path | None = None) -> Arrays | None:
    """Open a set's arrays, memory-mapped, after checking their hashes; None if there are none.

    Raises InputError for damaged ones.
    """
    folder = arrays_folder(name, data_dir)
    if not (folder / META).is_file():
        return None
    wrong = damaged_files(folder)
    if wrong:
        raise _damaged(name, folder / wrong[0], "whose SHA-256 is not the one written with it")
    meta = read_meta(folder)
    if meta is None:
        raise _damaged(name, folder / META, "which isn't what this version writes")
    splits = {
        split: (
            _array(name, folder / f"{split}_inputs.npy", "r"),
            _array(name, folder / f"{split}_labels.npy"),
        )
        for split in meta.examples
    }
    return Arrays(folder, splits, meta)


def _array(name: str, path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False, mmap_mode=mmap_mode)
    except Exception as error:  # whatever a file of another hand makes of NumPy
        raise _damaged(name, path, f"which can't be read ({error})") from None


def _damaged(name: str, path: Path, wrong: str) -> InputError:
    return InputError(
        f"data set {name}",
        got=f"{path}, {wrong}",
        expected="the file as it was prepared",
        remedy=f"Run `jax-backprop data prepare {name}`: it makes the arrays again.",
    )


def damaged_files(folder: Path) -> list[str]:
    """Return the files of a folder that are missing or not as its SHA256SUMS says."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return [SUMS]
    sums = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    if META not in sums:
        return [SUMS]
    return [
        name
        for name, expected in sums.items()
        if not (folder / name).is_file() or file_sha256(folder / name) != expected
    ]


def verify_set(
    name: str, data_dir: Path | None = None, on_progress: OnProgress | None = None
) -> str | None:
    """Return what is wrong with a prepared set; None if nothing is.

    Raises InputError if it isn't prepared.
    """
    folder = arrays_folder(name, data_dir)
    if not folder.is_dir():
        raise InputError(
            f"data set {name}",
            got=f"no arrays in {folder}",
            expected="a prepared set",
            remedy="Run `jax-backprop data prepare` first.",
        )
    wrong = damaged_files(folder)
    if wrong:
        return f"DAMAGED: {folder / wrong[0]}; `jax-backprop data prepare` makes it again"
    arrays, prepared = read_arrays(name, data_dir), find_prepared(name, data_dir)
    assert arrays is not None
    if prepared is None or not prepared.readable:
        return None
    if not is_current(arrays.meta, prepared):
        return f"OUTDATED: {prepared.folder} is not the set that the arrays were made from"
    try:
        return _first_difference(name, prepared.folder, arrays.splits, on_progress)
    except Exception as error:  # whatever a damaged file makes of protobuf, riegeli or pillow
        return f"DAMAGED: {prepared.folder} can't be read ({type(error).__name__}: {error})"


def _first_difference(
    name: str,
    folder: Path,
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    on_progress: OnProgress | None,
) -> str | None:
    builder = open_builder(folder)
    features = read_features(builder, name)
    for split, pair in splits.items():
        done = 0
        for found in read_examples(builder, features, split):
            rows = slice(done, done + len(found[1]))
            if not all(
                np.array_equal(kept[rows], read) for kept, read in zip(pair, found, strict=True)
            ):
                return f"DAMAGED: {split} examples from {done} on differ from those in {folder}"
            done = rows.stop
            if on_progress is not None:
                on_progress(f"comparing {split} examples", done, len(pair[1]))
    return None


def _files(
    name: str,
    prepared: Prepared,
    builder: DatasetBuilder,
    features: Features,
    on_progress: OnProgress | None,
) -> dict[str, Iterator[bytes | memoryview]]:
    """Return the files of a set's folder, each in pieces that are made as they are asked for."""
    meta = {
        "name": name,
        "version": prepared.version,
        "examples": features.splits,
        "example_shape": features.shape,
        "class_names": features.class_names,
        "prepared": str(prepared.folder),
        "fingerprint": fingerprint(prepared),
        "homepage": builder.info.homepage,
        "citation": builder.info.citation,
    }
    files: dict[str, Iterator[bytes | memoryview]] = {
        META: iter([(json.dumps(meta, indent=1) + "\n").encode()])
    }
    for split, examples in features.splits.items():
        labels: list[np.ndarray] = []
        files[f"{split}_inputs.npy"] = _inputs(builder, features, split, labels, on_progress)
        files[f"{split}_labels.npy"] = _labels(labels, examples)
    return files


def _inputs(
    builder: DatasetBuilder,
    features: Features,
    split: str,
    labels: list[np.ndarray],
    on_progress: OnProgress | None,
) -> Iterator[bytes | memoryview]:
    """Yield a split's inputs as a .npy file, and keep its labels for the file after it."""
    examples, done = features.splits[split], 0
    for inputs, found in read_examples(builder, features, split):
        if not done:
            yield _header(inputs.dtype, (examples, inputs.shape[1]))
        labels.append(found)
        done += len(found)
        yield inputs.data
        if on_progress is not None:
            on_progress(f"reading {split} examples", done, examples)
    if done != examples:
        raise ValueError(f"{done} {split} examples where {examples} are described")


def _labels(labels: list[np.ndarray], examples: int) -> Iterator[bytes | memoryview]:
    yield _header(np.dtype(np.int32), (examples,))
    yield from (part.data for part in labels)


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": description, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()
