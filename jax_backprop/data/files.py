"""The user's own files: CSV with a label column, and NumPy's .npz."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jax_backprop.data.features import Standardize, as_float32
from jax_backprop.data.splits import make_dataset
from jax_backprop.errors import DataWarning, InputError, unknown_name
from jax_backprop.reading import decode, read_csv, read_npz
from jax_backprop.types import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

CHECK = "Check its name, and how it was written."
# Names that people give the two arrays of a set; each may end in _train, _validation or _test.
ARRAY_NAMES = (("inputs", "labels"), ("x", "y"), ("X", "y"))


def load_npz(
    path: Path, *, relabel: bool = False, split_seed: int = 0, standardize: Standardize = False
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
        name=f"npz:{path}" + (",relabel" if relabel else ""),
        class_names=None if names is None or relabel else _names(path, names),
        source=str(path),
        relabel=relabel,
        split_seed=split_seed,
        standardize=standardize,
        example_shape=tuple(shape) if len(shape) > 1 else (),
    )


def load_csv(
    path: Path,
    *,
    label: str | None,
    relabel: bool = False,
    split_seed: int = 0,
    standardize: Standardize = False,
) -> Dataset:
    """Load a CSV file with a header: one column of labels, all others features.

    They are read in float64, and become float32 after they are scaled.
    """
    table = _read_csv(path)
    names = table.column_names
    _check_columns(path, names, label)
    assert label is not None
    columns = [_feature(path, name, table[name]) for name in names if name != label]
    features = np.stack(columns, axis=1)
    labels = table[label]
    if labels.null_count:
        row = _first_missing(labels)
        raise _wrong_value(path, row, label, "nothing", "a label in every row")
    found = labels.to_numpy()
    return make_dataset(
        features if standardize else as_float32(features),
        found.astype(str) if found.dtype == object else found,
        name=f"csv:{path},label={label}" + (",relabel" if relabel else ""),
        source=f"{path}, labels {label}, features {', '.join(n for n in names if n != label)}",
        relabel=relabel,
        split_seed=split_seed,
        standardize=standardize,
    )


def _read_csv(path: Path) -> pa.Table:
    table = decode(
        path,
        read_csv,
        what="file",
        expected="a CSV file whose rows have as many values as its header",
        remedy=CHECK,
    )
    if table.num_rows == 0:
        raise InputError(
            f"file {path}",
            got="a header and no rows",
            expected="at least one example",
            remedy="Check how the file was written.",
        )
    return table


def _check_columns(path: Path, names: list[str], label: str | None) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"file {path}",
            got=f"two columns named {twice[0]!r}",
            expected="a name of its own for each column",
            remedy="Rename one in the header.",
        )
    if label is None:
        raise InputError(
            f"file {path}",
            got="no label column",
            expected=f"the name of one of its columns: {', '.join(names)}",
            remedy="Give --label COLUMN, or write the data set as csv:FILE,label=COLUMN.",
        )
    if label not in names:
        raise unknown_name(f"column of {path}", label, names)
    if len(names) == 1:
        raise InputError(
            f"file {path}",
            got=f"the column {label!r} alone",
            expected="at least one column of features, too",
            remedy="Add features.",
        )


def _feature(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    """Return a column in float64, or raise InputError with the row and what stands there."""
    import pyarrow as pa

    kind = column.type
    if column.null_count:
        row = _first_missing(column)
        raise _wrong_value(path, row, name, "nothing", "a finite number")
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        row = _first_text(column)
        raise _wrong_value(path, row, name, repr(str(column[row])), "a number")
    values = column.to_numpy()
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32))
    if not finite.all():
        row = int(np.argmin(finite))
        raise _wrong_value(path, row, name, values[row], "a finite number that float32 can hold")
    return values.astype(np.float64)


def _first_missing(column: pa.ChunkedArray) -> int:
    """Return the first row without a value."""
    return int(column.is_null().to_numpy().argmax())


def _first_text(column: pa.ChunkedArray) -> int:
    """Return the row of the first value that isn't a number."""
    for row, value in enumerate(column):
        try:
            float(str(value))
        except ValueError:
            return row
    return 0


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


def _wrong_value(path: Path, row: int, column: str, got: object, expected: str) -> InputError:
    return InputError(
        f"file {path}, row {row + 1} after the header, column {column!r}",
        got=got,
        expected=expected,
        remedy="Mend that value, or leave the row or the column out.",
    )
