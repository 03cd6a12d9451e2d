"""MNIST and Fashion-MNIST as tensorflow-datasets builds them, without TensorFlow.

The stock builders need TensorFlow to unzip, to parse and to write PNG. These subclasses do that
with the standard library, NumPy and pillow; name, version, features, addresses and checksums are
the stock builders' own, and the sets are the same, element for element (``make test-tfds``).
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image
from tensorflow_datasets.image_classification import mnist as stock

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

Example: TypeAlias = tuple[int, dict[str, bytes | int]]  # its key, and its features
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
EXAMPLES = {"train": 60_000, "test": 10_000}
UNSIGNED_BYTES = 0x08  # the idx format's code of the type


class _IdxBuilder:
    """What both sets share: examples straight from the downloaded files, nothing extracted.

    (Extraction is keyed by file name in tensorflow-datasets, and the two sets' files have the same
    names: one folder would give Fashion-MNIST the images of MNIST.)
    """

    URL: str
    on_example: Callable[[int, int], None] | None = None

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Any:  # the stock ones have a narrower type than their base
        urls = {split: [self.URL + name for name in names] for split, names in FILES.items()}
        paths: Any = dl_manager.download(urls)
        return {
            split: self._generate_examples(EXAMPLES[split], *pair) for split, pair in paths.items()
        }

    def _generate_examples(
        self, num_examples: int, data_path: os.PathLike[str], label_path: os.PathLike[str]
    ) -> Generator[Example, None, None]:
        images, labels = read_idx(data_path), read_idx(label_path)
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield index, {"image": _png(image), "label": int(label)}
            if self.on_example is not None:
                self.on_example(index + 1, num_examples)

    def _log_download_bytes(self) -> None: ...  # the stock ones print

    def _log_download_done(self) -> None: ...


class MNIST(_IdxBuilder, stock.MNIST, skip_registration=True):
    """MNIST (LeCun and Cortes)."""

    name = "mnist"
    url_infos = stock.MNIST.url_infos


class FashionMNIST(_IdxBuilder, stock.FashionMNIST, skip_registration=True):
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017)."""

    name = "fashion_mnist"
    url_infos = stock.FashionMNIST.url_infos


BUILDERS = {"mnist": MNIST, "fashion_mnist": FashionMNIST}


def read_idx(path: os.PathLike[str]) -> np.ndarray:
    """Read a gzipped idx file of unsigned bytes: type, dimensions, big-endian sizes, the bytes."""
    with gzip.open(path) as file:
        content = file.read()
    kind, dimensions = content[2], content[3]
    if kind != UNSIGNED_BYTES:
        raise ValueError(f"{path}: idx type {kind:#x}, not unsigned bytes")
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape.tolist())


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
