"""A contact sheet: samples of each class side by side, to see what a network is given."""

from __future__ import annotations

import io
import math

import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.types import Dataset

COLUMNS = 16
MARGIN = 2  # pixels between samples
LEAST_SIDE = 28  # smaller images are enlarged to this, each pixel to a whole number of pixels


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
