"""Our builders against tensorflow-datasets' own under TensorFlow; run by `make test-tfds` alone.

It needs TensorFlow (1.3 GB), which the project doesn't, and the original files: from the network,
or from a folder with mnist/ and fashion_mnist/ in it, named by $JAX_BACKPROP_ORIGINALS.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jax_backprop.data.builders import BUILDERS
from jax_backprop.data.prepared import open_builder, read_examples, read_features

ORIGINALS = os.environ.get("JAX_BACKPROP_ORIGINALS")
MEANS = {"mnist": 0.1307, "fashion_mnist": 0.2860}


@pytest.mark.parametrize("name", BUILDERS)
def test_the_same_set_element_for_element(name: str, tmp_path: Path) -> None:
    config = tfds.download.DownloadConfig(
        manual_dir=Path(ORIGINALS) / name if ORIGINALS else None,
        extract_dir=tmp_path / "extracted",  # of its own: it is keyed by file name
    )
    builders = {}
    for kind, make in (("ours", BUILDERS[name]), ("stock", tfds.builder_cls(name))):
        builder = make(data_dir=tmp_path / kind, file_format="array_record")
        builder.download_and_prepare(download_dir=tmp_path / "downloads", download_config=config)
        builders[kind] = open_builder(builder.data_path)
    ours, stock = builders["ours"], builders["stock"]
    assert ours.info.full_name == stock.info.full_name
    assert ours.info.features.to_json() == stock.info.features.to_json()
    assert ours.info.download_size == stock.info.download_size
    features = read_features(stock, name)
    assert features == read_features(ours, name) and features.splits == {
        "train": 60_000,
        "test": 10_000,
    }
    total = 0
    for split, examples in features.splits.items():
        pairs = zip(
            read_examples(ours, features, split), read_examples(stock, features, split), strict=True
        )
        done = 0
        for (our_inputs, our_labels), (inputs, labels) in pairs:
            np.testing.assert_array_equal(our_inputs, inputs)
            np.testing.assert_array_equal(our_labels, labels)
            done += len(labels)
            total += int(inputs.sum(dtype=np.int64)) if split == "train" else 0
        assert done == examples
    assert round(total / 60_000 / 784 / 255, 4) == MEANS[name]
