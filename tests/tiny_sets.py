"""MNIST and Fashion-MNIST in miniature: files of the same names and format, a few examples each."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.utils import Size

from jax_backprop.data.builders import BUILDERS, FILES

SIZES = {"train": 200, "test": 30}  # an ArrayRecord takes 128 KiB at least: less than the arrays
SEEDS = {"mnist": 0, "fashion_mnist": 1}


def pixels(name: str, split: str) -> np.ndarray:
    """Return a split's images, (examples, 28, 28): a random row each, another in the other set."""
    generator = np.random.default_rng([SEEDS[name], split == "test"])
    images = np.zeros((SIZES[split], 28, 28), np.uint8)
    images[:, 14] = generator.integers(0, 256, (SIZES[split], 28), np.uint8)
    return images


def write_originals(folder: Path, name: str) -> Path:
    """Write a set's four gzipped idx files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, (images, labels) in FILES.items():
        classes = (np.arange(SIZES[split]) % 10).astype(np.uint8)
        for file, array in ((images, pixels(name, split)), (labels, classes)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            content = gzip.compress(header + array.tobytes(), compresslevel=1, mtime=0)
            (folder / file).write_bytes(content)
    return folder


def register(originals: Path, name: str, url: str | None = None) -> None:
    """Make a set's builder expect these files, at an address or at its own."""
    builder = BUILDERS[name]
    builder.URL = url or builder.URL
    builder.url_infos = {
        builder.URL + path.name: UrlInfo(
            size=Size(path.stat().st_size),
            checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
            filename=path.name,
        )
        for path in sorted(originals.iterdir())
    }


def register_all(originals: Path, patch: pytest.MonkeyPatch) -> None:
    """Make both builders expect the files in two folders of their names, until ``patch`` ends."""
    for name, builder in BUILDERS.items():
        patch.setattr(builder, "URL", builder.URL)
        patch.setattr(builder, "url_infos", builder.url_infos)
        register(originals / name, name)
