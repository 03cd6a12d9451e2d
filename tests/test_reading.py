"""The door for files: whatever is wrong with one, an InputError says so, and no memory is taken."""

from __future__ import annotations

import datetime
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jax_backprop import InputError, load_dataset, make_dataset
from jax_backprop.parsing import read_study
from jax_backprop.reading import decode, most_memory, parse_toml, read_json, read_npy, read_npz

STUDY = b"""title = "t"
question = "q"
dataset = "noise:20,2,2"
[axes]
learning_rate = [0.1]
"""


def archive(compression: int = zipfile.ZIP_DEFLATED, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as found:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            found.writestr(f"{name}.npy", content.getvalue())
    return buffer.getvalue()


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def changed(content: bytes, start: int, stop: int) -> bytes:
    return content[:start] + bytes(255 - each for each in content[start:stop]) + content[stop:]


INPUTS = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.arange(40) % 2
WHOLE = archive(inputs=INPUTS, labels=LABELS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        WHOLE[:-30],
        WHOLE[: len(WHOLE) // 2],
        changed(WHOLE, 80, 300),
        changed(WHOLE, len(WHOLE) - 60, len(WHOLE) - 20),
        archive(zipfile.ZIP_STORED, inputs=INPUTS.astype(object), labels=LABELS),
        archive(inputs=INPUTS.astype([("a", "f8")]), labels=LABELS),
        archive(inputs=INPUTS.astype("c16"), labels=LABELS),
        archive(inputs=np.float64(3), labels=LABELS),
        archive(inputs=np.zeros((0, 2, 2)), labels=np.zeros(0, int)),
        archive(inputs=INPUTS, labels=LABELS, class_names=np.float64(3)),
        archive(inputs=INPUTS, labels=LABELS.astype("M8[s]")),
        archive(inputs=INPUTS, labels=np.full(40, 2**62)),
        archive(inputs=INPUTS, labels=np.int64(1)),
    ],
)
def test_a_damaged_or_strange_npz(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_dataset(f"npz:{path}")


def test_an_archive_that_would_fill_the_memory(tmp_path: Path, monkeypatch) -> None:
    """Its directory says how much it holds: nothing is unpacked to find out."""
    path = tmp_path / "bomb.npz"
    path.write_bytes(archive(inputs=np.zeros((10_000, 3)), labels=np.arange(10_000) % 2))
    assert path.stat().st_size < 2_000
    load_dataset(f"npz:{path}")
    monkeypatch.setattr("jax_backprop.reading.most_memory", lambda: 300_000)
    with pytest.raises(InputError, match="half of the memory"):
        load_dataset(f"npz:{path}")
    monkeypatch.undo()
    (tmp_path / "huge.npy").write_bytes(header(f"({2**50},)"))
    with pytest.raises(InputError, match=r"huge\.npy"):
        decode(tmp_path / "huge.npy", read_npy, what="a", expected="b", remedy="c")
    assert 2**28 < most_memory() < 2**50


def test_other_byte_orders_and_widths_hold_the_same_numbers() -> None:
    plain = make_dataset(INPUTS, LABELS)
    for inputs, labels in (
        (INPUTS.astype(">f8"), LABELS.astype(">i2")),
        (INPUTS.astype(np.longdouble), LABELS.astype(np.uint64)),
    ):
        found = make_dataset(inputs, labels)
        assert found.train.inputs.dtype == np.float64 and found.checksum == plain.checksum
        np.testing.assert_array_equal(found.train.inputs, plain.train.inputs)
    with pytest.raises(InputError, match="rows of several lengths"):
        make_dataset([[1.0], [1.0, 2.0]], [0, 1])
    with pytest.raises(InputError, match="finite"):
        make_dataset(np.full((40, 3), np.longdouble("1e4000")), LABELS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfea,b\n",
        b"a,y\n1,0,5\n",
        b'a,y\n"1,0\n',
        b"a,y\n" + b"1" * 5000 + b",0\n",
        b"a,a\n1,0\n",
        b"a,y\n\x00,0\n",
        b"y\n0\n1\n",
        b"a,y\n2020-01-01,0\n",
        b"a,y\n1,\n",
    ],
)
def test_a_damaged_or_strange_csv(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_dataset(f"csv:{path},label=y")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = " + b"[" * 3000 + b"]" * 3000, "tables within each other"),
        (b"x = " + b"9" * 5000, "4300 digits"),
        (b"x = 0x" + b"f" * 5000, "more than 256 bits"),
        (b"a." * 200 + b"b = 1", "within each other"),
        (b'title = "\xe9"', "utf-8"),
        (STUDY.replace(b"[axes]\nlearning_rate = [0.1]", b"[axes]"), "1 or more items"),
        (b"epochs = 1000000000000000000\n" + STUDY, "10000000 or less"),
        (b"tile_width = 1000000000\n" + STUDY, "65536 or less"),
        (b"hidden_sizes = [100000000000]\n" + STUDY, "hidden_sizes"),
        (b"seed = 2147483648\n" + STUDY, "below 2147483648"),
        (b"zip = [[]]\n" + STUDY, "zip"),
        (b"init_scale = 1e300\n" + STUDY, "init_scale"),
    ],
)
def test_a_study_file_that_can_not_be(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_study(path)


@pytest.mark.parametrize(
    "axis",
    [
        {"low": 1e-300, "high": 1e300},
        {"low": float("nan"), "high": 1.0},
        {"low": 5e-324, "high": 1.0},
        {"count": 2**31 + 1},
        {"count": 10**18, "start": 10**18},
        [2**31],
        [datetime.date(2020, 1, 1)],
    ],
)
def test_values_of_an_axis_that_can_not_be(axis: object) -> None:
    from jax_backprop.study_file import axis_values

    name = "learning_rate" if isinstance(axis, dict) and "low" in axis else "seed"
    with pytest.raises(ValueError, match=r"."):
        axis_values(name, axis)


def test_json_is_an_object_of_bounded_depth(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for text in ("[]", "{", '{"a":' * 200 + "1" + "}" * 200, "[" * 100_000, '{"a": 1' + "0" * 5000):
        path.write_text(text)
        with pytest.raises(InputError, match=r"file\.json"):
            read_json(path, what="w", expected="e", remedy="r")


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/dev/zero")]
)
def test_what_is_no_file_is_not_waited_for(make: Callable, tmp_path: Path) -> None:
    make(tmp_path / "it")
    with pytest.raises(InputError, match="not a file"):
        decode(tmp_path / "it", read_npz, what="w", expected="e", remedy="r")


def test_toml_as_text() -> None:
    assert parse_toml("a = [1, {b = 2}]") == {"a": [1, {"b": 2}]}
