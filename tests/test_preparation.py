"""Preparing sets: right, whole or not at all, whatever goes wrong on the way."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_sets

from jax_backprop import InputError, load_dataset
from jax_backprop.data import parse_name, prepare
from jax_backprop.data.builders import BUILDERS
from jax_backprop.data.cache import read_arrays, verify_set
from jax_backprop.data.prepared import find_prepared

MNIST, FASHION = parse_name("mnist"), parse_name("fashion_mnist")


@pytest.fixture(autouse=True)
def _no_folders_of_the_users(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("JAX_BACKPROP_DATA_DIR", raising=False)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for name in BUILDERS:
        tiny_sets.write_originals(folder / name, name)
    return folder


@pytest.fixture
def registered(originals: Path, monkeypatch) -> Path:
    tiny_sets.register_all(originals, monkeypatch)
    return originals


@pytest.fixture(scope="module")
def folder(originals: Path, tmp_path_factory) -> Path:
    """Both sets prepared in one folder, from folders with the same file names."""
    data_dir = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        tiny_sets.register_all(originals, patch)
        for name in BUILDERS:
            prepare(parse_name(name), data_dir=data_dir, source=originals / name)
    return data_dir


def rows(images: np.ndarray) -> list[bytes]:
    return sorted(image.tobytes() for image in images)


@pytest.mark.parametrize("name", BUILDERS)
def test_each_set_holds_its_own_pixels(folder: Path, name: str) -> None:
    """Fashion-MNIST's files have the names of MNIST's: prepared second, it must not hold those."""
    arrays = read_arrays(name, folder)
    assert arrays is not None and set(arrays.splits) == {"train", "test"}
    for split, (inputs, labels) in arrays.splits.items():
        expected = tiny_sets.pixels(name, split)
        assert inputs.dtype == np.uint8 and isinstance(inputs, np.memmap)
        assert rows(inputs) == rows(expected)
        label_of = {image.tobytes(): index % 10 for index, image in enumerate(expected)}
        assert [label_of[image.tobytes()] for image in inputs] == labels.tolist()


def test_the_splits_are_recorded_seeded_and_disjoint(folder: Path) -> None:
    first, again, other = (
        load_dataset("mnist", split_seed=seed, data_dir=folder) for seed in (0, 0, 1)
    )
    sizes = {name: len(split.labels) for name, split in first.splits.items()}
    assert sizes == {"train": 180, "validation": 20, "test": 30}
    assert "20 of the source's 200 train examples" in first.split
    np.testing.assert_array_equal(first.validation.inputs, again.validation.inputs)
    assert rows(first.validation.inputs) != rows(other.validation.inputs)
    whole = rows(np.concatenate([first.train.inputs, first.validation.inputs]))
    assert whole == rows(tiny_sets.pixels("mnist", "train"))
    assert first.checksum == other.checksum and first.train.inputs.dtype == np.uint8
    assert first.example_shape == (28, 28, 1) and "3.0.1" in first.source


def test_preparing_again_does_nothing_and_tfds_reads_the_same(folder: Path, monkeypatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert prepare(MNIST, data_dir=folder) == folder / "arrays" / "mnist"
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    monkeypatch.setenv("JAX_BACKPROP_DATA_DIR", str(folder))
    ours, theirs = load_dataset("mnist"), load_dataset("tfds:mnist")
    np.testing.assert_array_equal(ours.train.inputs, theirs.train.inputs)
    assert find_prepared("mnist:3.0.1") is not None and find_prepared("mnist:3.0.0") is None


def copy_of(folder: Path, target: Path) -> Path:
    subprocess.run(["cp", "-r", folder, target], check=True)
    return target


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_arrays_are_found_and_made_again(folder: Path, tmp_path: Path, damage: str) -> None:
    data_dir = copy_of(folder, tmp_path / "data")
    path = data_dir / "arrays" / "mnist" / "train_inputs.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    damaged = {"cut": bytes(content[:-100]), "changed": bytes(content)}
    path.unlink() if damage == "missing" else path.write_bytes(damaged[damage])
    assert "DAMAGED" in str(verify_set("mnist", data_dir))
    assert verify_set("fashion_mnist", data_dir) is None
    with pytest.raises(InputError, match=r"train_inputs.npy.*data prepare mnist"):
        load_dataset("mnist", data_dir=data_dir)
    prepare(MNIST, data_dir=data_dir)
    assert verify_set("mnist", data_dir) is None


def test_a_damaged_array_record_is_found(folder: Path, tmp_path: Path) -> None:
    data_dir = copy_of(folder, tmp_path / "data")
    (record,) = (data_dir / "mnist" / "3.0.1").glob("*train*")
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 255
    record.write_bytes(content)
    assert "DAMAGED" in str(verify_set("mnist", data_dir))
    record.write_bytes(content[: len(content) // 3])
    (data_dir / "arrays" / "mnist" / "set.json").unlink()
    with pytest.raises(InputError, match=r"can't be read.*Remove that folder"):
        prepare(MNIST, data_dir=data_dir)
    assert not list((data_dir / "arrays").glob(".mnist.*.*")), "something half-made stays"


def test_another_set_under_the_same_name_is_read_anew(folder: Path, tmp_path: Path) -> None:
    data_dir = copy_of(folder, tmp_path / "data")
    info = data_dir / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"description": "another"}))
    assert "OUTDATED" in str(verify_set("mnist", data_dir))
    load_dataset("mnist", data_dir=data_dir)
    assert verify_set("mnist", data_dir) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "train-labels-idx1-ubyte.gz is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "train-labels.* has .* bytes"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "has another SHA-256"),
    ],
)
def test_wrong_source_files_are_named(
    registered: Path, tmp_path: Path, change, message: str
) -> None:
    source = copy_of(registered / "mnist", tmp_path / "source")
    change(source / "train-labels-idx1-ubyte.gz")
    with pytest.raises(InputError, match=message):
        prepare(MNIST, data_dir=tmp_path / "data", source=source)
    with pytest.raises(InputError, match=r"has another SHA-256|bytes"):  # files of the other set
        prepare(FASHION, data_dir=tmp_path / "data", source=registered / "mnist")
    assert not list((tmp_path / "data").rglob("*.npy"))


class Server(http.server.BaseHTTPRequestHandler):
    """Serves the originals, one of them damaged on the way if told so."""

    folder: Path
    damage: str = ""

    def do_GET(self) -> None:
        """Answer with a file."""
        content = (self.folder / self.path.strip("/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if "train-images" in self.path:
            content = {"cut": content[:1000], "changed": content[::-1]}.get(self.damage, content)
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server(originals: Path):
    Server.folder = originals / "mnist"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_downloads_leave_nothing(
    registered: Path, server: str, tmp_path: Path, monkeypatch, damage: str
) -> None:
    tiny_sets.register(registered / "mnist", "mnist", server)
    monkeypatch.setattr(Server, "damage", damage)
    with pytest.raises(InputError, match=r"mnist.*--from FOLDER"):
        prepare(MNIST, data_dir=tmp_path)
    assert find_prepared("mnist", tmp_path) is None and read_arrays("mnist", tmp_path) is None
    monkeypatch.setattr(Server, "damage", "")
    prepare(MNIST, data_dir=tmp_path)
    assert verify_set("mnist", tmp_path) is None


def test_an_old_tfrecord_folder(folder: Path, registered: Path, tmp_path, monkeypatch) -> None:
    def as_tfrecord(root: Path) -> Path:
        target = copy_of(folder / "mnist", root / "mnist")
        info = target / "3.0.1" / "dataset_info.json"
        info.write_text(info.read_text().replace("array_record", "tfrecord"))
        return root

    (tmp_path / "data").mkdir()
    data_dir = as_tfrecord(tmp_path / "data")
    for attempt in (lambda: prepare(MNIST, data_dir=data_dir), lambda: load_dataset("tfds:mnist")):
        monkeypatch.setenv("JAX_BACKPROP_DATA_DIR", str(data_dir))
        with pytest.raises(InputError, match=r"prepared as tfrecord.*nothing was changed"):
            attempt()
    # One of tensorflow-datasets' own, elsewhere, is in nobody's way.
    (tmp_path / "tfds").mkdir()
    as_tfrecord(tmp_path / "tfds")
    with pytest.raises(InputError, match="data prepare mnist"):
        load_dataset("mnist", data_dir=tmp_path / "ours")
    prepare(MNIST, data_dir=tmp_path / "ours", source=registered / "mnist")
    assert len(load_dataset("mnist", data_dir=tmp_path / "ours").test.labels) == 30


PREPARE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import tiny_sets
from jax_backprop.data import parse_name, prepare
originals, data_dir, limit = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
tiny_sets.register(originals, "mnist")
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
prepare(parse_name("mnist"), data_dir=data_dir, source=originals)
assert "jax" not in sys.modules and "tensorflow" not in sys.modules
"""


def start(originals: Path, data_dir: Path, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, Path(__file__).parent, originals, data_dir, str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_and_one_killed_before(originals: Path, tmp_path: Path) -> None:
    """Without JAX and without TensorFlow."""
    killed = start(originals / "mnist", tmp_path)
    while killed.poll() is None and not list(tmp_path.glob("mnist/incomplete*")):
        time.sleep(0.001)
    killed.kill()
    killed.communicate()
    (tmp_path / "mnist" / "incomplete.BEFORE_3.0.1").mkdir(parents=True)  # if it was too quick
    both = [start(originals / "mnist", tmp_path) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert verify_set("mnist", tmp_path) is None
    left = {entry.name for entry in (tmp_path / "mnist").iterdir()}
    assert left == {"3.0.1"} and len(list((tmp_path / "arrays").iterdir())) == 2  # and its lock


@pytest.mark.parametrize("limit", [5_000, 140_000])
def test_a_full_disk_leaves_nothing_half_made(originals: Path, tmp_path: Path, limit: int) -> None:
    """As a limit on a file's size: writing fails in the ArrayRecord, or in the arrays."""
    full = start(originals / "mnist", tmp_path, limit)
    _, errors = full.communicate()
    assert full.returncode == 1 and "File too large" in errors.splitlines()[-1], errors
    assert "InputError: output" in errors and "free the space" in errors
    assert (find_prepared("mnist", tmp_path) is None) == (limit == 5_000)
    assert read_arrays("mnist", tmp_path) is None
    again = start(originals / "mnist", tmp_path)
    assert again.communicate() and again.returncode == 0 and verify_set("mnist", tmp_path) is None
