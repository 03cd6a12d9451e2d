"""The user's own arrays: NumPy's .npz."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from jax_backprop.data.features import Standardize
from jax_backprop.data.splits import make_dataset
from jax_backprop.errors import DataWarning, InputError
from jax_backprop.reading import decode, read_npz
from jax_backprop.types import Dataset

CHECK = "Check its name, and how it was written."
# Names that people give the two arrays of a set; each may end in _train, _validation or _test.
ARRAY_NAMES = (("inputs", "labels"), ("x", "y"), ("X", "y"))


def load_npz(
    path: Path,
    *,
    relabel: bool = False,
    numbers: bool = False,
    ids: bool = False,
    split_seed: int = 0,
    standardize: Standardize = False,
) -> Dataset:
    """Load ``inputs`` and ``labels`` (or x and y) of a .npz file, whole or already split.

    Names ending in ``_train``, ``_validation`` and ``_test`` are splits; ``class_names`` is taken
    if it is there. Examples of more than one axis are laid flat. Never unpickles anything.
    """
    arrays = decode(
        path,
        read_npz,
        what="file",
        expected="a .npz file of plain numbers and text, nothing pickled",
        remedy=CHECK,
    )
    splits = _pairs(path, arrays)
    shape = splits["train"][0].shape[1:]
    flat = {key: (_flat(inputs), labels) for key, (inputs, labels) in splits.items()}
    names = arrays.get("class_names")
    return make_dataset(
        *flat["train"],
        validation=flat.get("validation"),
        test=flat.get("test"),
        name=f"npz:{path}" + ",relabel" * relabel + ",numbers" * numbers + ",ids" * ids,
        class_names=None if names is None or relabel else _names(path, names),
        source=str(path),
        relabel=relabel,
        numbers=numbers,
        ids=ids,
        split_seed=split_seed,
        standardize=standardize,
        example_shape=tuple(shape) if len(shape) > 1 else (),
    )


def _pairs(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the pairs of inputs and labels by split; all is "train" where nothing is split.

    Warns of arrays that are left: a name that is no split's is soon written.
    """
    for inputs, labels in ARRAY_NAMES:
        named = {
            split: (inputs + end, labels + end)
            for split, end in (
                ("train", ""),
                ("train", "_train"),
                ("validation", "_validation"),
                ("test", "_test"),
            )
            if inputs + end in arrays and labels + end in arrays
        }
        if "train" in named:
            taken = [name for pair in named.values() for name in pair]
            if left := sorted(set(arrays) - {"class_names", *taken}):
                text = f"arrays {', '.join(left)} aren't used, only {', '.join(taken)}"
                warnings.warn(f"{path}: {text}", DataWarning, stacklevel=3)
            return {split: (arrays[one], arrays[two]) for split, (one, two) in named.items()}
    raise InputError(
        f"file {path}",
        got=f"arrays named {', '.join(arrays) or '(none)'}",
        expected="inputs and labels, or x and y; or these with _train and _test at their ends",
        remedy="Save it by numpy.savez(FILE, inputs=..., labels=...).",
    )


def _flat(inputs: np.ndarray) -> np.ndarray:
    """Lay examples of more than one axis flat."""
    if inputs.ndim <= 2:
        return inputs
    return inputs.reshape(len(inputs), math.prod(inputs.shape[1:]))


def _names(path: Path, names: np.ndarray) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "USiub" or not names.size:
        raise InputError(
            f"file {path}, class_names",
            got=f"{names.dtype} of shape {names.shape}",
            expected="a row of texts, one a class",
            remedy="Mend it, or leave it out.",
        )
    return [str(name) for name in names]
