"""The command line's data sets: prepared, listed, described, verified, learned from."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_sets
from PIL import Image
from test_cli import call

from jax_backprop import forward, load_dataset
from jax_backprop.data.builders import BUILDERS
from jax_backprop.data.catalog import list_sets
from jax_backprop.training.model import load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    originals = tiny_sets.write_originals(root / "originals", "mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(root / "tfds"))
        patch.setattr(BUILDERS["mnist"], "url_infos", {})
        tiny_sets.register(originals, "mnist")
        assert call("data", "prepare", "mnist", "--from", originals, "--data-dir", root) == 0
    return root


@pytest.fixture(autouse=True)
def _folder_by_variable(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("JAX_BACKPROP_DATA_DIR", str(folder))
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))


@pytest.mark.parametrize("command", ["prepare", "list", "info", "verify"])
def test_every_command_explains_itself(command: str, capsys) -> None:
    assert call("data", command, "--help") == 0
    assert len(capsys.readouterr().out) > 200
    assert call("data") == 0
    assert command in capsys.readouterr().out


def test_list_and_verify(capsys, folder: Path) -> None:
    assert call("data", "list") == 0
    printed = capsys.readouterr().out
    where = {row.name: row.where for row in list_sets()}
    assert all(name in printed for name in ("digits", "fashion_mnist", "csv:FILE"))
    assert where["mnist"] == str(folder / "mnist" / "3.0.1")
    assert "data prepare fashion_mnist" in where["fashion_mnist"]
    assert call("data", "verify") == 0
    assert "mnist: sound" in capsys.readouterr().out


def test_verify_fails_on_a_damaged_set(capsys, folder: Path) -> None:
    path = folder / "arrays" / "mnist" / "test_labels.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\7")
    try:
        assert call("data", "verify", "mnist") == 1
        assert "DAMAGED" in capsys.readouterr().out
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(("label", "ends"), [("y", "label=y --loss squared_error"), ("c", "c")])
def test_info_names_a_training_of_these_labels(
    label: str, ends: str, capsys, tmp_path: Path, monkeypatch
) -> None:
    """As a command that runs: without a loss of numbers it would be refused."""
    rows = [f"{n},{n / 7:.3f},{n % 2}" for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,c", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    assert call("data", "info", f"csv:t.csv,label={label}") == 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("next: jax-backprop train --dataset csv:t.csv,label=")
    assert line.endswith(ends)
    assert call(*line.split()[2:], "--epochs", "1", "--learning-rate", "0.1") == 0


def test_info_draws_a_contact_sheet(capsys, folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert call("data", "info", "mnist", "--sheet", sheet) == 0
    printed = capsys.readouterr().out
    for said in ("180", "CC BY-SA", "28 x 28", "uint8", "SHA-256", "20 of the source's 200"):
        assert said in printed
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (10 * 30 + 2, 16 * 30 + 2)
    row = pixels[2 + 14, 2 : 2 + 28]  # the one row of the first sample that isn't black
    originals = tiny_sets.pixels("mnist", "train")[::10, 14]  # class 0
    assert any((row == candidate).all() for candidate in originals)
    assert call("data", "info", "mnist", "--sheet", sheet) == 2
    assert "which exists" in capsys.readouterr().err
    assert call("data", "info", "noise:20,5,2", "--sheet", tmp_path / "no.png") == 2
    assert "expected images" in capsys.readouterr().err and not (tmp_path / "no.png").exists()


def test_a_model_of_bytes_scales_what_it_predicts(capsys, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["--dataset", "mnist", "--standardize", "--hidden", 8, "--epochs", 3]
    assert call("train", *arguments, "--batch-size", 30, "--out", out) == 0
    saved = json.loads((out / "model.json").read_text())
    assert saved["run"]["dataset"] == "mnist,standardize" and saved["feature_dtype"] == "uint8"
    assert len(saved["scaling"]["factor"]) == 784 and saved["data"]["examples"]["test"] == 30
    last = pq.read_table(out / "evaluations.parquet").to_pylist()[-1]  # by fit itself
    np.testing.assert_allclose(
        saved["scores"]["validation_loss"], last["validation_loss"], rtol=1e-5
    )
    assert call("evaluate", out) == 0
    assert f"{saved['scores']['test_accuracy']:.4f}" in capsys.readouterr().out
    assert call("predict", out, "--split", "test") == 0
    by_name = capsys.readouterr().out
    features = load_dataset("mnist").test.inputs
    model = load_model(out)
    logits = forward(model.params, model.scaling.apply(features), network=model.network)
    expected = np.asarray(jax.nn.softmax(logits, axis=1)).max(axis=1)
    printed = [float(line.split(",")[2]) for line in by_name.splitlines()[1:]]
    np.testing.assert_allclose(printed, expected, atol=1e-5)
    np.save(tmp_path / "bytes.npy", features)
    assert call("predict", out, "--inputs", tmp_path / "bytes.npy") == 0
    assert capsys.readouterr().out == by_name
    np.save(tmp_path / "floats.npy", features / 255)
    assert call("predict", out, "--inputs", tmp_path / "floats.npy") == 2
    assert "expected uint8" in capsys.readouterr().err


def test_a_model_of_timestamps_scales_what_it_is_shown(capsys, tmp_path: Path) -> None:
    """By what it was trained with, in float64, whatever the data's own statistics are."""
    seconds = 1_700_000_000 + np.arange(120)
    rows = [f"{at},{n % 7},k{n * 3 // 120}" for n, at in enumerate(seconds)]
    table = tmp_path / "stamps.csv"
    table.write_text("\n".join(["at,other,kind", *rows]))
    data = f"csv:{table},label=kind,relabel,standardize"
    out = tmp_path / "model"
    arguments = ["--dataset", data, "--hidden", 4, "--learning-rate", 2, "--batch-size", 10]
    assert call("train", *arguments, "--epochs", 20, "--out", out) == 0
    saved = json.loads((out / "model.json").read_text())
    assert saved["scores"]["test_accuracy"] > 0.8, "seconds apart are told apart"
    capsys.readouterr()
    assert call("evaluate", out) == 0
    printed = capsys.readouterr().out
    for name in ("train", "validation", "test"):
        loss, accuracy = saved["scores"][f"{name}_loss"], saved["scores"][f"{name}_accuracy"]
        (line,) = [line for line in printed.splitlines() if line.split()[:1] == [name]]
        assert f"{loss:.4f}" in line and f"{accuracy:.4f}" in line
    assert call("predict", out, "--split", "test") == 0
    by_name = capsys.readouterr().out
    raw = load_dataset(f"csv:{table},label=kind,relabel,standardize")
    factor, offset = (np.asarray(part) for part in raw.of_source)
    np.save(tmp_path / "raw.npy", (np.asarray(raw.test.inputs, np.float64) - offset) / factor)
    assert call("predict", out, "--inputs", tmp_path / "raw.npy") == 0
    again = [line.split(",")[:2] for line in capsys.readouterr().out.splitlines()]
    assert again == [line.split(",")[:2] for line in by_name.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "prepar", "mnist"], "Did you mean 'prepare'?"),
        (["data", "prepare", "digits"], "there is nothing to prepare"),
        (["data", "prepare", "tfds:mnst"], "no such set prepared"),
        (["data", "prepare", "fashion_mnist", "--from", "nowhere"], "is missing"),
        (["data", "verify", "fashion_mnist"], "data prepare"),
        (["data", "info", "fashion_mnist"], "jax-backprop data prepare fashion_mnist"),
        (["train", "--dataset", "digits", "--relabel"], "unknown option of data set digits"),
        (["train", "--dataset", "csv:a.csv", "--label", "x"], "No such file"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert not list(tmp_path.iterdir()), "something was written"
