"""Prepared sets checked byte by byte: the arrays, and the ArrayRecord that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jax_backprop.data.cache import (
    OnProgress,
    arrays_folder,
    damaged_files,
    is_current,
    read_arrays,
)
from jax_backprop.data.prepared import find_prepared, open_builder, read_examples, read_features
from jax_backprop.errors import InputError


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
