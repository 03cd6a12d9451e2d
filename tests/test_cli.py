"""The command line: what it prints and saves, and how it takes mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jax_backprop.choices import OPTIMIZER_PARAMETERS, SCHEDULE_PARAMETERS
from jax_backprop.cli import main
from jax_backprop.settings import Optimizer

STUDY = """
title = "t"
question = "q"
epochs = 2
batch_size = 64
hidden_sizes = [4]
[axes]
seed = { count = 2 }
learning_rate = [0.1, 1.0]
"""


def call(*arguments: object) -> int:
    """Run a command in this process; return its exit code."""
    before = sys.argv
    sys.argv = ["jax-backprop", *map(str, arguments)]
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    arguments = "--dataset digits --hidden 32 --learning-rate 4 --schedule cosine --batch-size 32"
    assert call("train", *arguments.split(), "--epochs", 50, "--out", folder) == 0
    return folder


def test_help_needs_no_jax() -> None:
    code = (
        "import sys; sys.argv = ['jax-backprop', '--help']\n"
        "from jax_backprop.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'jax', 'numpy', 'pandas', 'altair'} & set(sys.modules), 'slow imports'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("verify", "train", "evaluate", "predict", "sweep", "report"):
        assert name in done.stdout


@pytest.mark.parametrize("command", ["verify", "train", "evaluate", "predict", "sweep", "report"])
def test_every_command_explains_itself(command: str, capsys) -> None:
    assert call(command, "--help") == 0
    assert len(capsys.readouterr().out) > 300


def test_train_reaches_its_accuracy_and_saves(model: Path) -> None:
    saved = json.loads((model / "model.json").read_text())
    assert saved["scores"]["test_accuracy"] >= 0.96
    history = pq.read_table(model / "history.parquet").to_pandas()
    assert len(history) == 50 * 39 and history["learning_rate"][0] == 4.0
    assert (model / "model.safetensors").is_file()
    assert pq.read_table(model / "evaluations.parquet").num_rows == 51


def test_evaluate_and_predict_load_it_again(model: Path, capsys, tmp_path: Path) -> None:
    saved = json.loads((model / "model.json").read_text())["scores"]
    assert call("evaluate", model) == 0
    assert f"{saved['test_accuracy']:.4f}" in capsys.readouterr().out
    out = tmp_path / "predictions.csv"
    assert call("predict", model, "--out", out) == 0
    from jax_backprop import load_dataset

    labels = load_dataset("digits").test.labels
    predicted = np.loadtxt(out, delimiter=",", skiprows=1)[:, 1]
    np.testing.assert_allclose(np.mean(predicted == labels), saved["test_accuracy"], atol=1e-6)
    features = tmp_path / "features.npy"
    np.save(features, load_dataset("digits").test.inputs[:3])
    assert call("predict", model, "--inputs", features) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 4
    assert call("evaluate", model, "--dataset", "digits,standardize") == 2
    assert "a model of features as they are" in capsys.readouterr().err


def test_training_again_gives_the_same_bits(model: Path, tmp_path: Path) -> None:
    before = (model / "model.safetensors").read_bytes()
    arguments = "--learning-rate 4 --schedule cosine --batch-size 32 --epochs 50 --out"
    assert call("train", *arguments.split(), model) == 0
    assert (model / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", SCHEDULE_PARAMETERS)
def test_schedules_and_their_parameters_on_the_command_line(name: str, tmp_path: Path) -> None:
    given = {"epochs": 10, "schedule": name, "learning-rate": 0.1, "out": tmp_path / "m"}
    given |= {key.replace("_", "-"): value for key, value in SCHEDULE_PARAMETERS[name].items()}
    flags = [(f"--{key}", *(v if isinstance(v, tuple) else (v,))) for key, v in given.items()]
    assert call("train", *(part for flag in flags for part in flag)) == 0


class ArrivedError(Exception):
    """What a training was given."""


@pytest.mark.parametrize("name", OPTIMIZER_PARAMETERS)
def test_optimizers_on_the_command_line(name: str, monkeypatch) -> None:
    """Name and parameters arrive as given; that each optimizer trains right is test_rules'."""

    def arrive(*_: object, **settings: object) -> None:
        raise ArrivedError(settings["optimizer"])

    monkeypatch.setattr("jax_backprop.training.fit", arrive)
    changed = {
        key: 2 if key == "accumulate_steps" else 0.5
        for key in OPTIMIZER_PARAMETERS[name]
        if key != "independent_decay"  # one decay is said
    }
    given = [
        part for key, value in changed.items() for part in (f"--{key.replace('_', '-')}", value)
    ]
    with pytest.raises(ArrivedError) as arrived:
        call("train", "--optimizer", name, *given)
    assert arrived.value.args == (Optimizer.model_validate({"name": name, **changed}),)


def test_verify_prints_a_row_a_leaf_and_writes_json(capsys, tmp_path: Path) -> None:
    path = tmp_path / "verify.json"
    assert call("verify", "--layer-sizes", 5, 5, 3, "--json", path) == 0
    printed = capsys.readouterr().out
    for leaf in ("loss", "params.0.weights", "params.1.biases", "second order", "verdict: pass"):
        assert leaf in printed
    saved = json.loads(path.read_text())
    assert saved["verdict"] == "pass" and len(saved["rows"]) == 2 * 5
    assert [each["problem"]["point"] for each in saved["second_order"]] == ["initial", "trained"]


def test_verify_fails_on_a_wrong_gradient(capsys, monkeypatch, tmp_path: Path) -> None:
    from jax_backprop import activations
    from jax_backprop.activations import ACTIVATIONS

    wrong = ACTIVATIONS["tanh"]._replace(backward=activations.sigmoid_backward)
    monkeypatch.setitem(activations.ACTIVATIONS, "tanh", wrong)
    path = tmp_path / "verify.json"
    arguments = ["--layer-sizes", 5, 5, 3, "--activation", "tanh", "--json", path]
    assert call("verify", *arguments) == 1
    assert "verdict: FAIL" in capsys.readouterr().out
    assert json.loads(path.read_text())["verdict"] == "fail"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "Did you mean 'sweep'?"),
        (["train", "--dataset", "digit"], "Did you mean 'digits'?"),
        (["train", "--schedule", "cosin"], "Did you mean 'cosine'?"),
        (["train", "--optimizer", "adamv"], "Did you mean 'adam"),
        (["train", "--activation", "sigmod"], "Did you mean 'sigmoid'?"),
        (
            ["train", "--schedule", "cosine", "--drops", "2"],
            "'cosine', which takes --warmup-fraction",
        ),
        (["train", "--batch-size", "2000"], "expected 1 to 1257"),
        (["train", "--batch-size", "0"], "--batch-size: got 0; expected a number above 0"),
        (["train", "--hidden", "0"], "--hidden: got 0; expected a number above 0"),
        (["train", "--learning-rate", "nan"], "--learning-rate: got"),
        (["train", "--learning-rate", "-1"], "expected 0 or more"),
        (["train", "--momentum", "0.9"], "expected it beside heavy_ball or nesterov"),
        (["train", "--epochs", "many"], "--epochs: got 'many'; expected a whole number"),
        (["verify", "--layer-sizes", "5"], "--layer-sizes: got [5]; expected 2 or more items"),
        (["evaluate", "nowhere"], "model folder"),
        (["report", "nowhere"], "results folder"),
        (["sweep", "nowhere.toml", "--out", "x"], "No such file"),
    ],
)
def test_mistakes_exit_with_2_and_one_paragraph(
    arguments: list[str], message: str, capsys, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert not list(tmp_path.iterdir()), "something was written"


def test_output_folders_of_others_are_left_alone(capsys, tmp_path: Path, model: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    for command in (["sweep", study], ["train", "--epochs", 1]):
        assert call(*command, "--out", tmp_path) == 2
        assert "nothing was written" in capsys.readouterr().err
    assert call("train", "--epochs", 1, "--out", tmp_path / "thesis.tex") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.toml", "thesis.tex"]
    before = (model / "model.json").read_bytes()
    assert call("train", "--epochs", 1, "--out", model) == 2
    assert "of a run with epochs = 50" in capsys.readouterr().err
    assert (model / "model.json").read_bytes() == before


def test_an_output_folder_that_cannot_be_written(capsys) -> None:
    assert call("train", "--epochs", 1, "--out", "/proc/nothing") == 2
    assert "/proc/nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 63)), "got 63 features"),
        (np.full((1, 64), np.nan), "got nan at example 0, feature 0"),
        (np.zeros((0, 64)), "empty array"),
        (np.array([{"a": 1}], dtype=object), "expected a .npy file of numbers"),
    ],
)
def test_bad_inputs_to_predict(array, message: str, capsys, tmp_path: Path, model: Path) -> None:
    path = tmp_path / "inputs.npy"
    np.save(path, array, allow_pickle=True)
    assert call("predict", model, "--inputs", path, "--out", tmp_path / "out.csv") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_model_and_an_existing_output(capsys, tmp_path: Path, model: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    (tmp_path / "out.csv").write_text("mine")
    assert call("predict", tmp_path, "--out", tmp_path / "out.csv") == 2
    assert (tmp_path / "out.csv").read_text() == "mine"
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    assert call("evaluate", tmp_path) == 2
    assert "damaged" in capsys.readouterr().err
