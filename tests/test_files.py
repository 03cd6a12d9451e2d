"""The user's own data: names, CSV, npz, noise, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_cli import call

from jax_backprop import InputError, load_dataset, make_dataset
from jax_backprop.data import name_with, parse_name
from jax_backprop.data.names import Columns, DatasetName
from jax_backprop.errors import DataWarning
from jax_backprop.types import Scaling

INPUTS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = np.tile([0, 1, 2], 20)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
HEADER = "length,width,height,depth,species"


def csv_lines(labels: np.ndarray = LABELS) -> list[str]:
    pairs = zip(INPUTS, labels, strict=True)
    return [HEADER, *(",".join([*(f"{x:.9g}" for x in row), str(label)]) for row, label in pairs)]


@pytest.fixture
def flowers(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("flowers.csv").write_text("\n".join(csv_lines()) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", DatasetName("digits")),
        ("mnist,standardize", DatasetName("mnist", standardize=True)),
        ("tfds:emnist/letters:3.1.0", DatasetName("tfds", "emnist/letters:3.1.0")),
        ("noise:16,16,2", DatasetName("noise", "16,16,2")),
        (
            "csv:a,b.csv,label=x y,relabel",
            DatasetName("csv", "a,b.csv", Columns(label=("x y",)), relabel=True),
        ),
        (
            "npz:a.npz,relabel,standardize",
            DatasetName("npz", "a.npz", relabel=True, standardize=True),
        ),
    ],
)
def test_names_are_taken_apart_and_put_together(name: str, expected: DatasetName) -> None:
    assert parse_name(name) == expected and str(expected) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "Did you mean 'mnist'"),
        ("tdfs:mnist", "Did you mean 'tfds'"),
        ("digits,standardise", "Did you mean 'standardize'"),
        ("digits,label=x", "unknown option of data set digits: got 'label'"),
        ("npz", "Write it as npz:FILE"),
        ("csv:,label=x", "Write it as csv:FILE,label=COLUMN"),
        ("iris.csv", "expected csv:iris.csv,label=COLUMN"),
        ("noise:16,16", "Write it like noise:16,16,2"),
        ("noise:1,16,2", "no fewer examples than classes"),
        ("noise:16,16,1", "at least 2 classes"),
        ("noise:1000000,1000000,2", "at most 1,000,000,000 numbers"),
        ("noise:a,b,c", "EXAMPLES,FEATURES,CLASSES"),
        ("tfds:nothing", "no such set prepared"),
    ],
)
def test_wrong_names_are_explained(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_dataset(name)


def test_options_on_the_command_line_become_part_of_the_name() -> None:
    assert name_with("csv:a.csv", label="y", relabel=True) == "csv:a.csv,label=y,relabel"
    with pytest.raises(InputError, match="label of a data set: got 'x'"):
        name_with("csv:a.csv,label=x", label="y")
    assert name_with("digits") == "digits"
    with pytest.raises(InputError, match="unknown option"):
        name_with("digits", relabel=True)


def test_csv_and_npz_hold_the_same(flowers: Path) -> None:
    np.savez("flowers.npz", inputs=INPUTS, labels=LABELS)
    table, arrays = load_dataset("csv:flowers.csv,label=species"), load_dataset("npz:flowers.npz")
    for name, split in table.splits.items():
        np.testing.assert_array_equal(split.inputs, arrays.splits[name].inputs)
        np.testing.assert_array_equal(split.labels, arrays.splits[name].labels)
    assert table.checksum == arrays.checksum and table.train.inputs.dtype == np.float32
    assert "length, width, height, depth" in table.source


@pytest.mark.parametrize("labels", [SPECIES, 10 * LABELS - 5, LABELS + 0.5])
def test_any_labels_are_numbered_if_that_is_asked_for(flowers: Path, labels: np.ndarray) -> None:
    Path("own.csv").write_text("\n".join(csv_lines(labels)))
    np.savez("own.npz", inputs=INPUTS, labels=labels)
    for name in ("csv:own.csv,label=species", "npz:own.npz"):
        if labels.dtype == float:
            assert load_dataset(name).classes == 0, "numbers, unless they are to be classes"
        else:
            with pytest.raises(InputError, match="--relabel"):
                load_dataset(name)
        data = load_dataset(f"{name},relabel")
        assert data.class_names == tuple(str(name) for name in np.unique(labels))
        expected = load_dataset("csv:flowers.csv,label=species").train.labels
        np.testing.assert_array_equal(data.train.labels, expected)


def test_arrays_that_nothing_takes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    inputs, labels = np.ones((60, 2)), np.arange(60) % 2
    np.savez(path, inputs=inputs, labels=labels, val_inputs=inputs, inputs_test=inputs)
    with pytest.warns(
        DataWarning, match="inputs_test, val_inputs aren't used, only inputs, labels"
    ):
        load_dataset(f"npz:{path}")


def test_images_and_splits_of_an_npz_file(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (100, 5, 4), np.uint8)
    labels = np.arange(100, dtype=np.uint8) % 2
    path = tmp_path / "images.npz"
    names = np.array(["cat", "dog"])
    splits = {"x_test": images[:7], "y_test": labels[:7], "class_names": names}
    np.savez(path, x_train=images, y_train=labels, **splits)
    data = load_dataset(f"npz:{path}")
    assert (data.features, data.example_shape, data.class_names) == (20, (5, 4), ("cat", "dog"))
    sizes = {name: len(split.labels) for name, split in data.splits.items()}
    assert sizes == {"train": 90, "validation": 10, "test": 7}
    np.testing.assert_array_equal(data.test.inputs, images[:7].reshape(7, 20))
    assert data.train.inputs.dtype == np.uint8 and data.scaling.factor == 1 / 255


def test_a_source_split_in_three_is_left_as_it_is() -> None:
    data = make_dataset(INPUTS, LABELS, validation=(INPUTS[:9], LABELS[:9]), test=(INPUTS, LABELS))
    assert [len(split.labels) for split in data.splits.values()] == [60, 9, 60]
    np.testing.assert_array_equal(data.train.inputs, INPUTS)
    without_test = make_dataset(INPUTS, LABELS, validation=(INPUTS[:9], LABELS[:9]))
    assert [len(split.labels) for split in without_test.splits.values()] == [48, 9, 12]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split_seed": 1, "validation": (INPUTS, LABELS), "test": (INPUTS, LABELS)}, "split_seed"),
        ({"class_names": "abc", "relabel": True}, "class_names"),
        ({"scaling": Scaling(2.0), "standardize": True}, "scaling"),
    ],
)
def test_arguments_that_would_do_nothing(given, message: str) -> None:
    with pytest.raises(InputError, match=f"{message}: got"):
        make_dataset(INPUTS.astype(np.uint8), LABELS, **given)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("examples", range(5, 14))
def test_small_sets_are_split_or_refused_in_words(classes: int, examples: int) -> None:
    labels = np.repeat(np.arange(classes), examples)
    inputs = np.zeros((len(labels), 2), np.float32)
    for given in ({}, {"test": (inputs[:3], labels[:3])}, {"validation": (inputs[:3], labels[:3])}):
        if examples < 10:
            with pytest.raises(InputError, match="at least 10 examples each"):
                make_dataset(inputs, labels, **given)
        else:
            data = make_dataset(inputs, labels, **given)
            for split in (data.train, *(data.splits[k] for k in data.splits if k not in given)):
                assert set(split.labels) == set(range(classes))


def test_noise_is_balanced_seeded_and_says_nothing_of_its_labels() -> None:
    data, other = load_dataset("noise:16,16,2"), load_dataset("noise:16,16,2", split_seed=1)
    for split in data.splits.values():
        assert split.inputs.shape == (16, 16) and split.inputs.dtype == np.float32
        assert np.bincount(split.labels).tolist() == [8, 8]
    assert (data.train.inputs != data.test.inputs).all()
    assert (data.train.inputs != other.train.inputs).all()
    assert data.checksum == load_dataset("noise:16,16,2").checksum != other.checksum
    large = load_dataset("noise:20000,8,2").train
    means = [large.inputs[large.labels == label].mean(axis=0) for label in (0, 1)]
    np.testing.assert_allclose(means[0] - means[1], 0, atol=4 * (2 / 10_000) ** 0.5)


def lines(change) -> bytes:
    changed = csv_lines()
    return ("\n".join(change(changed) or changed) + "\n").encode()


BAD_CSV = {
    "no such column": (lines(lambda t: None), "kind", "unknown column of .*: got 'kind'"),
    "no column named": (lines(lambda t: None), None, "no label column.*one of its columns: length"),
    "text": (
        lines(lambda t: t.__setitem__(3, "1,2,high,4,0")),
        "species",
        "column 'height' has 1 of 60 that are no numbers, the first 'high' in row 3",
    ),
    "ragged": (lines(lambda t: t.__setitem__(5, "1,2,3,0")), "species", "CSV parse error.*#6"),
    "too long": (lines(lambda t: t.__setitem__(5, "1,2,3,4,5,0")), "species", "CSV parse error"),
    "nan": (lines(lambda t: t.__setitem__(2, "1,nan,3,4,0")), "species", "'width'.*row 2"),
    "empty cell": (
        lines(lambda t: t.__setitem__(2, "1,,3,4,0")),
        "species",
        "column 'width' has no value in 1 of 60 rows, the first row 2",
    ),
    "infinite": (lines(lambda t: t.__setitem__(2, "1,inf,3,4,0")), "species", "'width' has inf"),
    "too large": (lines(lambda t: t.__setitem__(2, "1,1e99,3,4,0")), "species", "has 1e.99 in row"),
    "no label": (
        lines(lambda t: t.__setitem__(2, "1,2,3,4,")),
        "species",
        "1 of 60 labels in column 'species' are missing",
    ),
    "empty": (b"", "species", "Empty CSV file"),
    "header only": (f"{HEADER}\n".encode(), "species", "a header and no rows"),
    "one class": (lines(lambda t: [t[0], *t[1::3]]), "species", "1 classes; expected at least two"),
    "twice": (lines(lambda t: t.__setitem__(0, "a,a,b,c,species")), "species", "two columns named"),
    "labels alone": (b"species\n0\n1\n", "species", "the column 'species' alone"),
    "gap": (
        lines(lambda t: [x[:-1] + "3" if x[-1] == "2" else x for x in t]),
        "species",
        "relabel",
    ),
    "binary": (bytes(range(256)), "species", r"file: got bad\.csv"),
    "latin header": (b"a,b\x9e,species\n1,2,0\n2,3,1\n", "species", r"file: got bad\.csv"),
}


def test_ids_of_an_npz_file_stay_integers(tmp_path: Path) -> None:
    tokens = np.arange(60).reshape(20, 3)
    np.savez(tmp_path / "text.npz", inputs=tokens, labels=np.arange(20) % 2)
    name = f"npz:{tmp_path / 'text.npz'}"
    data = load_dataset(f"{name},ids")
    assert data.train.inputs.dtype == np.int32 and data.name == f"{name},ids"
    assert load_dataset(name).train.inputs.dtype == np.float32
    with pytest.raises(InputError, match="ids and standardize"):
        load_dataset(f"{name},ids,standardize")


@pytest.mark.parametrize("shape", [(10, 1, 2), (10, 2)])
def test_several_labels_an_example_are_not_numbered(tmp_path: Path, shape: tuple) -> None:
    arrays = {"inputs_train": np.ones((20, 3)), "labels_train": np.arange(20) % 2}
    arrays |= {"inputs_test": np.ones((10, 3)), "labels_test": np.zeros(shape, int)}
    np.savez(tmp_path / "deep.npz", **arrays)
    with pytest.raises(InputError, match="one label an example"):
        load_dataset(f"npz:{tmp_path / 'deep.npz'},relabel")


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_files(flowers: Path, capsys, case: str) -> None:
    content, label, message = BAD_CSV[case]
    Path("bad.csv").write_bytes(content)
    name = name_with("csv:bad.csv", label=label)
    with pytest.raises(InputError, match=message):
        load_dataset(name)
    assert call("train", "--dataset", name, "--out", "model") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(path.name for path in flowers.iterdir()) == ["bad.csv", "flowers.csv"]


BAD_NPZ = {
    "pickled": ({"inputs": INPUTS, "labels": np.array([{}] * 60, object)}, "nothing pickled"),
    "other names": ({"data": INPUTS, "target": LABELS}, "arrays named data, target"),
    "lengths": ({"inputs": INPUTS, "labels": LABELS[:-1]}, r"labels: got shape \(59,\)"),
    "not from 0": ({"inputs": INPUTS, "labels": LABELS + 1}, "none of class 0.*--relabel"),
    "text": ({"inputs": INPUTS.astype(str), "labels": LABELS}, "features: got <U"),
    "nan": (
        {"inputs": np.where(INPUTS > 2, np.nan, INPUTS), "labels": LABELS},
        "features: got nan",
    ),
    "one class": ({"inputs": INPUTS, "labels": 0 * LABELS}, "1 classes"),
    "no examples": ({"inputs": INPUTS[:0], "labels": LABELS[:0]}, "empty array"),
    "widths": (
        {"x_train": INPUTS, "y_train": LABELS, "x_test": INPUTS[:, :3], "y_test": LABELS},
        "features of test: got 3 of float32; expected 4",
    ),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz_files(tmp_path: Path, case: str) -> None:
    arrays, message = BAD_NPZ[case]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_dataset(f"npz:{tmp_path / 'bad.npz'}")


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", INPUTS)
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", b"PK\3\4")):
        (tmp_path / name).write_bytes(content)
    for name in ("array.npy", "empty", "text", "cut", "nowhere"):
        with pytest.raises(InputError, match=r"file: .*expected a .npz file"):
            load_dataset(f"npz:{tmp_path / name}")
