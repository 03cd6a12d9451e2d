"""Trained models on disk: held by one run, checked when read, and gone on with after a stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from test_cli import call

from jax_backprop import Dataset, InputError, Network, fit, init_params, loss, role_keys
from jax_backprop.storage import locked
from jax_backprop.training import InterruptedTrainingError
from jax_backprop.training.checkpoint import CHECKPOINT

NETWORK, KEYS = Network(layer_sizes=(6, 6, 3)), role_keys(0)
TRAIN = ["train", "--dataset", "noise:20,2,2", "--hidden", 2, "--epochs", 4]
pytestmark = pytest.mark.optimized
LONG = [*map(str, TRAIN[:-1]), "60000"]
FILES = ("model.safetensors", "history.parquet", "evaluations.parquet")


def run(data: Dataset, **changes):
    settings = {"network": NETWORK, "learning_rate": 0.5, "batch_size": 10, "epochs": 9} | changes
    settings = {"optimizer": "adamw", "schedule": "cosine"} | settings
    return fit(init_params(NETWORK, key=KEYS.init), data, key=KEYS.order, **settings)


def stopped(data: Dataset, folder: Path, segments: int) -> int:
    """Stop a run after some segments; return the steps that were done."""
    seen: list = []
    with pytest.raises(InterruptedTrainingError) as stop:
        run(data, out=folder, on_progress=seen.append, should_stop=lambda: len(seen) == segments)
    return stop.value.done


def test_a_stopped_run_goes_on_with_the_same_bits(blobs: Dataset, tmp_path: Path) -> None:
    whole, seen = run(blobs), []
    assert stopped(blobs, tmp_path, 2) == 20 and stopped(blobs, tmp_path, 3) == 50
    resumed = run(blobs, out=tmp_path, on_progress=seen.append)
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    assert [each.done_steps for each in seen] == [60, 70, 80, 90]
    seen.clear()
    again = run(blobs, out=tmp_path, on_progress=seen.append)
    jax.tree.map(np.testing.assert_array_equal, whole, again)
    assert not seen, "a finished run was run again"


def test_a_checkpoint_of_another_run_is_refused(blobs: Dataset, tmp_path: Path) -> None:
    stopped(blobs, tmp_path, 1)
    before = (tmp_path / CHECKPOINT).read_bytes()
    other = blobs.train._replace(inputs=blobs.train.inputs + np.float32(1e-6))
    for changes, named in (
        ({"learning_rate": 0.5000001}, "learning_rate = 0.5 .*learning_rate = 0.5000001"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"value_and_grad": jax.value_and_grad(partial(loss, network=NETWORK))}, "program"),
        ({"described": {"seed": 3}}, "seed = None.*seed = 3"),
    ):
        with pytest.raises(InputError, match=named):
            run(blobs, out=tmp_path, **changes)
    from dataclasses import replace

    with pytest.raises(InputError, match="data = "):
        run(replace(blobs, train=other), out=tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_damaged_checkpoint_is_noticed(blobs: Dataset, tmp_path: Path) -> None:
    stopped(blobs, tmp_path, 1)
    sound = (tmp_path / CHECKPOINT).read_bytes()
    for place in (0, 9, len(sound) // 2, len(sound) - 1):
        flipped = sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]
        (tmp_path / CHECKPOINT).write_bytes(flipped)
        with pytest.raises(InputError, match=r"checkpoint: got .* Remove it to begin"):
            run(blobs, out=tmp_path)


def test_a_folder_in_use_is_refused_and_a_finished_one_kept(tmp_path: Path, capsys) -> None:
    out = tmp_path / "m"
    code = "import sys; from jax_backprop.cli import main; main()"
    arguments = [sys.executable, "-c", code, *map(str, TRAIN), "--out", str(out)]
    out.mkdir()
    with locked(out):
        found = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert found.returncode == 2 and f"in use by process {os.getpid()}" in found.stderr
    assert call(*TRAIN, "--out", out) == 0
    assert not (out / CHECKPOINT).exists()
    before = {name: (out / name).read_bytes() for name in (*FILES, "model.json")}
    capsys.readouterr()
    assert call(*TRAIN, "--out", out) == 0
    assert "holds this model already: nothing was trained" in capsys.readouterr().out
    assert call(*TRAIN, "--out", out, "--seed", 1) == 2
    assert "seed = 0" in capsys.readouterr().err
    assert before == {name: (out / name).read_bytes() for name in before}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "m"
    assert call(*TRAIN, "--out", out) == 0
    return out


def test_a_model_is_not_read_once_changed(trained: Path, tmp_path: Path, capsys) -> None:
    out, copy = trained, tmp_path / "copy"
    for change in (
        lambda m: m["class_names"].reverse(),
        lambda m: m["run"].update(seed=3),
        lambda m: m["scores"].update(test_loss=0.0),
        lambda m: m.pop("checksum"),
        lambda m: m.update(new=1),
    ):
        shutil.copytree(out, copy)
        manifest = json.loads((copy / "model.json").read_text())
        change(manifest)
        (copy / "model.json").write_text(json.dumps(manifest))
        assert call("evaluate", copy) == 2
        assert "changed since it was written" in capsys.readouterr().err
        shutil.rmtree(copy)
    for name in FILES:
        shutil.copytree(out, copy)
        content = bytearray((copy / name).read_bytes())
        content[-1] ^= 1
        (copy / name).write_bytes(content)
        assert call("evaluate", copy) == 2 and f"{name} is missing" in capsys.readouterr().err
        shutil.rmtree(copy)


def first_version(folder: Path, **changes) -> None:
    """Make a folder's model.json one of the first version: without hashes."""
    manifest = json.loads((folder / "model.json").read_text())
    manifest = {k: v for k, v in manifest.items() if k not in ("checksum", "files")} | changes
    (folder / "model.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "changes",
    [
        {"class_names": ["a"]},
        {"class_names": 3},
        {"scaling": {"factor": "a", "offset": 0}},
        {"scaling": {"factor": [1.0], "offset": 0}},
        {"feature_dtype": "fluff"},
        {"network": {"layer_sizes": [2, 3, 2]}},
        {"run": []},
        {"data": 5},
    ],
)
def test_models_of_the_first_version(trained: Path, tmp_path: Path, capsys, changes: dict) -> None:
    shutil.copytree(trained, tmp_path / "m")
    first_version(tmp_path / "m", **changes)
    assert call("evaluate", tmp_path / "m") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_model_of_the_first_version_is_still_read(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "m")
    first_version(tmp_path / "m")
    assert call("evaluate", tmp_path / "m") == 0


def test_other_data_are_evaluated_and_named(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{i * 37 % 11},{i * 7 % 5},{int(i * 37 % 11 > 5)}" for i in range(100)]
    Path("c.csv").write_text("\n".join(["a,b,y", *rows]))
    train = ["train", "--dataset", "csv:c.csv,label=y", "--epochs", 1, "--hidden", 2, "--out", "m"]
    assert call(*train) == 0 and call("evaluate", "m") == 0
    assert "note" not in capsys.readouterr().err
    swapped = [",".join([b, a, y]) for a, b, y in (row.split(",") for row in rows)]
    Path("c.csv").write_text("\n".join(["b,a,y", *swapped]))
    before = Path("m/model.safetensors").read_bytes()
    assert call("evaluate", "m") == 0
    assert "note" not in capsys.readouterr().err, "columns are found by their names"
    doubled = [",".join([b, str(2 * int(a)), y]) for a, b, y in (row.split(",") for row in rows)]
    Path("c.csv").write_text("\n".join(["b,a,y", *doubled]))
    assert call("predict", "m") == 0 and "SHA-256" in capsys.readouterr().err
    assert call(*train) == 2 and "data_checksum" in capsys.readouterr().err
    assert Path("m/model.safetensors").read_bytes() == before
    assert call("evaluate", "m", "--dataset", "noise:20,3,2") == 2
    parts = {"": 60, "_validation": 20, "_test": 20}
    arrays = {f"inputs{name}": np.eye(n, 2, dtype=np.float32) for name, n in parts.items()}
    arrays |= {f"labels{name}": np.arange(n) % 2 for name, n in parts.items()}
    np.savez("split.npz", **arrays)
    seeded = [*train[:-1], "seeded", "--split-seed", 3]
    assert call(*seeded) == 0 and call("evaluate", "seeded", "--dataset", "npz:split.npz") == 0
    told = ("evaluate", "seeded", "--dataset", "npz:split.npz", "--split-seed", 3)
    assert call(*told) == 2 and "data that come split" in capsys.readouterr().err
    assert call("evaluate", "m", "--dataset", "noise:20,2,3") == 2


@pytest.fixture(scope="module")
def whole_training(tmp_path_factory) -> Path:
    """The same training without a stop."""
    out = tmp_path_factory.mktemp("whole") / "w"
    assert call(*LONG, "--out", out) == 0
    return out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_train_goes_on(
    number: signal.Signals, whole_training: Path, tmp_path: Path
) -> None:
    """Stopped by a signal in the middle: exit code 130 or 143, then the same bits as without."""
    code = "from jax_backprop.training import checkpoint; checkpoint.SECONDS = 0.0\n"
    code += "from jax_backprop.cli import main; main()"
    out = tmp_path / "m"
    command = [sys.executable, "-c", code, *LONG, "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while child.poll() is None and not (out / CHECKPOINT).exists():
            pass
        child.send_signal(number)
        _, printed = child.communicate()
    if number != signal.SIGKILL:
        assert child.returncode == 128 + number, printed.decode()
        assert "the same command goes on" in printed.decode()
    if not (out / "model.json").exists():
        assert call("evaluate", out) == 2
    assert call(*LONG, "--out", out) == 0
    for name in FILES:
        assert (out / name).read_bytes() == (whole_training / name).read_bytes()
