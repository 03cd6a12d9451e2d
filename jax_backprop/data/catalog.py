"""What data sets there are, what is known of each, and a contact sheet of its examples."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_backprop.data.cache import META, read_meta
from jax_backprop.data.names import parse_name
from jax_backprop.data.prepared import INFO, data_folder, find_prepared, tfds_folder
from jax_backprop.errors import InputError
from jax_backprop.types import Dataset

LICENCES = {
    "digits": "CC BY 4.0 (UCI Machine Learning Repository)",
    "mnist": "usually stated as CC BY-SA 3.0; its authors' page names none",
    "fashion_mnist": "MIT",
}


COLUMNS = 16
MARGIN = 2  # pixels between samples
LEAST_SIDE = 28  # smaller images are enlarged to this, each pixel to a whole number of pixels


class Listed(NamedTuple):
    """A line of the list: a name, what it is, where it lies."""

    name: str
    what: str
    where: str


def list_sets(data_dir: Path | None = None) -> list[Listed]:
    """Return the sets that can be named, the prepared ones among them."""
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
        Listed("csv:FILE,label=COLUMN", "your own table; so parquet:FILE and arrow:FILE", ""),
        Listed("noise:16,16,2", "noise: so many examples, features, classes", ""),
    ]


def prepared_names(data_dir: Path | None = None) -> list[str]:
    """Return the names of the sets whose arrays lie in the data folder."""
    folders = (meta.parent for meta in (data_folder(data_dir) / "arrays").glob(f"*/{META}"))
    return sorted(meta.name for folder in folders if (meta := read_meta(folder)) is not None)


def describe(data: Dataset) -> list[str]:
    """Return what there is to say of a data set but for its counts, a line each."""
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


def contact_sheet(data: Dataset) -> bytes:
    """Return a PNG of the first training examples of each class, a row a class.

    Raises InputError for examples that are no images.
    """
    from PIL import Image

    shape = data.example_shape if len(data.example_shape) > 2 else (*data.example_shape, 1)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise InputError(
            f"data set {data.name}",
            got=f"examples of shape {data.example_shape or (data.features,)}",
            expected="images: height, width, and 1 or 3 channels",
            remedy="Leave out --sheet.",
        )
    height, width, channels = shape
    zoom = max(1, math.ceil(LEAST_SIDE / max(height, width)))
    tile = np.array([height * zoom + MARGIN, width * zoom + MARGIN])
    rows = tile[0] * data.classes + MARGIN
    sheet = np.full((rows, tile[1] * COLUMNS + MARGIN, channels), 255, np.uint8)
    for label in range(data.classes):
        for column, example in enumerate(np.flatnonzero(data.train.labels == label)[:COLUMNS]):
            pixels = _bytes(data, np.asarray(data.train.inputs[example])).reshape(shape)
            large = pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
            top, left = MARGIN + tile * (label, column)
            sheet[top : top + height * zoom, left : left + width * zoom] = large
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _bytes(data: Dataset, features: np.ndarray) -> np.ndarray:
    """Return features as grey levels: bytes as they are, others over the range in train."""
    if features.dtype == np.uint8:
        return features
    low, high = data.train.inputs.min(), data.train.inputs.max()
    return np.rint(255 * (features - low) / max(high - low, np.finfo(np.float32).tiny)).astype(
        np.uint8
    )
