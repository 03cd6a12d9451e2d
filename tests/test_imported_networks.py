"""Networks and schedules of one's own by import path: in study files, and for one network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from test_cli import call

import jax_backprop as jb
from jax_backprop.importing import imported

DATA = jb.load_dataset("noise:40,4,3")
MODULE = """
import jax, jax_backprop as jb

def make(data):
    shape = (data.features, data.outputs)
    return jb.from_functions(lambda key: jax.random.normal(key, shape), lambda p, x: x @ p)

def halves(step, steps):
    return 1.0 if step < steps / 2 else {late}

def close(outputs, targets):
    return outputs.max(axis=1) > 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own_parts.py").write_text(MODULE.format(late=0.5))
    study = {"network": "own_parts:make", "schedule": "own_parts:halves", "dataset": "noise:40,4,3"}
    lines = [f'{key} = "{value}"' for key, value in study.items()]
    axes = "[axes]\nlearning_rate = [0.1, 1.0]\nseed = [0]\n"
    text = ['title = "t"', 'question = "q"', "epochs = 4", "batch_size = 8", *lines, axes]
    Path("s.toml").write_text("\n".join(text))
    yield tmp_path
    sys.modules.pop("own_parts", None)
    imported.cache_clear()


def test_a_study_names_its_network_and_schedule_by_import_path(folder: Path, capsys: Any) -> None:
    assert call("sweep", "s.toml", "--out", "r") == 0
    cells = jb.load_study(Path("r"))
    assert cells["schedule"].to_pylist() == ["own_parts:halves"] * 2
    assert "test_accuracy" in cells.column_names
    assert call("show", "r") == 0 and call("sweep", "s.toml", "--out", "r") == 0
    capsys.readouterr()
    text = Path("s.toml").read_text()
    for wrong, message in (
        (text.replace("parts:make", "parts:mkae"), "Did you mean 'make'"),
        (text.replace("own_parts:make", "nowhere:make"), "module 'nowhere'"),
        (text.replace("own_parts:make", "math:hypot"), "network"),
        ("hidden_sizes = [3]\n" + text, "hidden_sizes: got it beside network"),
        (text.replace("parts:halves", "parts:halvse"), "Did you mean 'halves'"),
    ):
        Path("wrong.toml").write_text(wrong)
        assert call("sweep", "wrong.toml", "--out", "w") == 2
        told = capsys.readouterr().err
        assert message in told and "Traceback" not in told, told


def test_train_evaluate_and_predict_take_a_network_by_import_path(
    folder: Path, capsys: Any
) -> None:
    train = ("train", "--network", "own_parts:make", "--dataset", "noise:40,4,3", "--epochs", 4)
    assert call(*train, "--learning-rate", 1, "--out", "m") == 0
    assert call("evaluate", "m") == 0 and call("predict", "m") == 0
    told = capsys.readouterr().out
    (weights,) = safetensors.numpy.load(Path("m/model.safetensors").read_bytes()).values()
    network = jb.from_functions(lambda key: jax.random.normal(key, (4, 3)), lambda p, x: x @ p)
    how = {"key": jb.role_keys(0).order, "epochs": 4, "learning_rate": 1.0}
    found = jb.fit(network.init(jb.role_keys(0).init), DATA, network=network, **how)
    np.testing.assert_array_equal(weights, found.params)
    assert told.count(f"{float(found.history.validation.loss[-1]):.4f}") == 2
    likeliest = np.asarray(jax.nn.softmax(DATA.test.inputs @ weights)).max(axis=1)
    shares = [float(line.split(",")[2]) for line in told.splitlines()[-len(likeliest) :]]
    np.testing.assert_allclose(shares, likeliest, atol=2e-6)
    assert call("evaluate", "m", "--dataset", "noise:40,5,3") == 2
    assert "got 5 features and 3 outputs; expected 4 and 3" in capsys.readouterr().err
    assert call(*train, "--hidden", 32) == 2
    assert "--hidden: got it with --network" in capsys.readouterr().err
    module, text = Path("own_parts.py"), MODULE.format(late=0.5)
    for changed, message in (
        (text.replace("data.outputs)", "data.outputs + 1)"), "float32[4, 4] from its init"),
        (text.replace("x @ p", "x @ (2 * p)"), "another computation than the one that was trained"),
        ("1 / 0", "got ZeroDivisionError"),
        ("raise SystemExit(0)", "got SystemExit"),
    ):
        module.write_text(changed)
        sys.modules.pop("own_parts", None)
        imported.cache_clear()
        again = (*train, "--learning-rate", 1, "--out", "m")
        for command in (("evaluate", "m"), ("predict", "m"), again):
            assert call(*command) == 2
            told = capsys.readouterr().err
            assert message in told and told.count("\n") == 1, told
    assert call("train", "--network", "own_parts") == 2
    assert "of the form MODULE:NAME" in capsys.readouterr().err


MISTAKES = """
import jax, jax.numpy as jnp, jax_backprop as jb, numpy as np

def network(apply, loss="softmax_cross_entropy"):
    return lambda data: jb.from_functions(lambda key: jnp.ones((4, 3)), apply, loss)

def count(*_, seen=[]):
    seen.append(0)
    return len(seen)

counted = network(lambda p, x: x @ p * count())
drawn = network(lambda p, x: x @ p + np.random.normal())
on_host = network(lambda p, x: jnp.asarray(np.asarray(x)) @ p)
narrow = network(lambda p, x: (x @ p)[:, :2])
whole_loss = network(lambda p, x: x @ p, lambda outputs, targets: outputs.sum())
no_loss = network(lambda p, x: x @ p, "squared_eror")
nan = lambda outputs, targets: outputs[:, 0] * jnp.nan
whole = lambda outputs, targets: outputs.mean()
breaks = lambda outputs, targets: 1 / 0
text = lambda step: "a"
"""


@pytest.mark.parametrize(
    ("flag", "name", "message"),
    [
        ("network", "counted", "got another computation each time that it is traced"),
        ("network", "drawn", "got another computation each time that it is traced"),
        ("network", "on_host", "(own_parts.py:13); expected functions that JAX can trace"),
        ("network", "narrow", "outputs of shape (2, 2); expected one for each of the 3 classes"),
        ("network", "whole_loss", "loss: got values of shape (); expected one for each example"),
        ("network", "no_loss", "Did you mean 'squared_error'?"),
        ("metrics", "nan", "metric 'nan': got nan at the initial parameters"),
        ("metrics", "whole", "metric 'whole': got values of shape (); expected one for each"),
        ("metrics", "breaks", "got ZeroDivisionError: division by zero (own_parts.py:19)"),
        ("schedule", "text", "schedule: got <U1 of shape"),
    ],
)
def test_mistakes_in_ones_own_functions_are_told_in_a_line(
    folder: Path, capsys: Any, flag: str, name: str, message: str
) -> None:
    Path("own_parts.py").write_text(MISTAKES)
    train = ("train", "--dataset", "noise:40,4,3", "--epochs", 2, "--out", "m")
    assert call(*train, f"--{flag}", f"own_parts:{name}") == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1, told
    assert not Path("m/model.json").exists()


def test_a_metric_of_ones_own_that_is_nan_is_refused_before_a_study_trains(
    folder: Path, capsys: Any
) -> None:
    Path("own_parts.py").write_text(MISTAKES)
    study = 'title = "t"\nquestion = "q"\ndataset = "noise:40,4,3"\nepochs = 2\n'
    Path("n.toml").write_text(study + 'metrics = ["own_parts:nan"]\n[axes]\nseed = [0]\n')
    assert call("sweep", "n.toml", "--out", "r") == 2
    assert "metric 'nan': got nan" in capsys.readouterr().err
    assert not list(Path("r").rglob("*.parquet"))
