"""Any set that tensorflow-datasets has prepared, by ``tfds:NAME``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jax_backprop import InputError, load_dataset


class Flowers(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set of tensorflow-datasets that is no image: four numbers, three classes."""

    VERSION = tfds.core.Version("1.2.0")
    name = "flowers"
    shape: tuple[int | None, ...] = (2, 2)
    label: tfds.features.FeatureConnector = tfds.features.ClassLabel(names=["a", "b", "c"])

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "measures": tfds.features.Tensor(shape=self.shape, dtype=np.float32),
            "kind": self.label,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("measures", "kind"),
        )

    def _split_generators(self, dl_manager: object) -> dict:
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(60):
            measures = np.full((2, 2), index, np.float32) + np.eye(2, dtype=np.float32)
            yield index, {"measures": measures, "kind": index % 3}


def prepare_flowers(root: Path, **changes) -> None:
    tfds.disable_progress_bar()
    builder = type("Flowers", (Flowers,), changes, skip_registration=True)
    builder(data_dir=root, file_format="array_record").download_and_prepare()


def test_any_classification_set_of_tfds(tmp_path: Path, monkeypatch) -> None:
    prepare_flowers(tmp_path / "tfds")  # where tensorflow-datasets puts it by itself
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("JAX_BACKPROP_DATA_DIR", str(tmp_path / "ours"))
    data = load_dataset("tfds:flowers")
    assert (data.features, data.example_shape, data.class_names) == (4, (2, 2), ("a", "b", "c"))
    assert sum(len(split.labels) for split in data.splits.values()) == 60
    for split in data.splits.values():
        index = split.inputs[:, 1]
        np.testing.assert_array_equal(split.labels, index % 3)
        np.testing.assert_array_equal(split.inputs, index[:, None] + np.array([[1, 0, 0, 1]]))
    assert (tmp_path / "ours" / "arrays" / "flowers").is_dir()
    assert not (tmp_path / "tfds" / "arrays").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (None, 2)}, r"measures of float32, shape \(None, 2\)"),
        ({"label": tfds.features.Scalar(np.int64)}, "expected a ClassLabel"),
    ],
)
def test_sets_of_tfds_that_no_network_fits(tmp_path: Path, changes: dict, message: str) -> None:
    prepare_flowers(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        load_dataset("tfds:flowers", data_dir=tmp_path)
    assert not (tmp_path / "arrays" / "flowers").exists()
