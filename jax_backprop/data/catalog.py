"""What data sets there are, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_backprop.data.cache import META, read_meta
from jax_backprop.data.names import parse_name
from jax_backprop.data.prepared import INFO, data_folder, find_prepared, tfds_folder
from jax_backprop.types import Dataset

LICENCES = {
    "digits": "CC BY 4.0 (UCI Machine Learning Repository)",
    "mnist": "usually stated as CC BY-SA 3.0; its authors' page names none",
    "fashion_mnist": "MIT",
}


class Listed(NamedTuple):
    """A line of the list: a name, what it is, where it lies."""

    name: str
    what: str
    where: str


def list_sets(data_dir: Path | None = None) -> list[Listed]:
    """Return the sets that can be named, those that lie prepared among them."""
    rows = [Listed("digits", "1,797 handwritten digits, 8 x 8", "embedded in scikit-learn")]
    for name, what in (
        ("mnist", "70,000 handwritten digits, 28 x 28"),
        ("fashion_mnist", "70,000 articles of clothing, 28 x 28"),
    ):
        where = _where(name, data_dir) or f"not prepared: jax-backprop data prepare {name}"
        rows.append(Listed(name, what, where))
    for name in sorted(set(_found(data_dir)) - {"mnist", "fashion_mnist"}):
        rows.append(Listed(f"tfds:{name}", "a set of tensorflow-datasets", _where(name, data_dir)))
    return [
        *rows,
        Listed(
            "npz:FILE", "your own arrays: inputs and labels, or x_train, y_train, x_test ...", ""
        ),
        Listed("csv:FILE,label=COLUMN", "your own table, with a header", ""),
        Listed("noise:16,16,2", "noise: so many examples, features, classes", ""),
    ]


def prepared_names(data_dir: Path | None = None) -> list[str]:
    """Return the names of the sets whose arrays lie in the data folder."""
    folders = (meta.parent for meta in (data_folder(data_dir) / "arrays").glob(f"*/{META}"))
    return sorted(meta.name for folder in folders if (meta := read_meta(folder)) is not None)


def describe(data: Dataset) -> list[str]:
    """Return what there is to say of a data set beside its counts, a line each."""
    inputs = data.train.inputs
    scaled = np.asarray(data.scaling.apply(inputs[:1])).dtype
    mean = float(inputs.mean(dtype=np.float64))
    kind = parse_name(data.name).kind if ":" in data.name or "," in data.name else data.name
    shape = " x ".join(map(str, data.example_shape)) or f"{data.features} features"
    return [
        f"Source: {data.source}",
        f"Licence: {LICENCES.get(kind, 'as its source says')}",
        f"Examples: {shape}, stored as {inputs.dtype}; mean over train {mean:.6g}"
        + (f" ({mean / 255:.4f} of 255)" if inputs.dtype == np.uint8 else ""),
        f"Network inputs: {_scaling(data)}, {scaled}",
        f"Split: {data.split}; split seed {data.split_seed}",
        f"SHA-256 of the arrays: {data.checksum}",
    ]


def _scaling(data: Dataset) -> str:
    factor, offset = data.of_source
    if isinstance(factor, tuple) or isinstance(offset, tuple):
        return "each feature standardized by its mean and deviation over train"
    if (factor, offset) == (1.0, 0.0):
        return "the features as they are"
    return f"{factor:.6g} x feature" + (f" + {offset:g}" if offset else "")


def _found(data_dir: Path | None) -> Iterator[str]:
    """Yield the names of the sets that lie prepared as ArrayRecord."""
    for root in (data_folder(data_dir), tfds_folder()):
        for pattern in (f"*/*/{INFO}", f"*/*/*/{INFO}"):
            for info in root.glob(pattern):
                name = str(info.parent.parent.relative_to(root))
                found = find_prepared(name, data_dir)
                if found is not None and found.readable:
                    yield name


def _where(name: str, data_dir: Path | None) -> str:
    found = find_prepared(name, data_dir)
    if found is None:
        return ""
    form = "" if found.readable else f", as {found.file_format}: not readable here"
    return f"{found.folder}{form}"
