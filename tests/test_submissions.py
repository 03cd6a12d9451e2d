"""A folder of submissions: each marked alone, whatever it does."""

from __future__ import annotations

import io
import json
import os
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import call

from jax_backprop.derivation.submissions import read_problem

SOLUTION = """
import numpy as np

def steps(*, inputs, labels, hidden_weights, hidden_biases, output_weights, output_biases,
          learning_rate):
    z = inputs @ hidden_weights + hidden_biases
    hidden = 1 / (1 + np.exp(-z))
    logits = hidden @ output_weights + output_biases
    terms = np.exp(logits - logits.max(axis=1, keepdims=True))
    outputs = terms / terms.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    d_logits = outputs.copy()
    d_logits[rows, labels] -= 1
    d_logits /= len(labels)
    d_hidden = d_logits @ output_weights.T
    d_z = d_hidden * hidden * (1 - hidden)
    grads = {"hidden_weights": inputs.T @ d_z, "hidden_biases": d_z.sum(0),
             "output_weights": hidden.T @ d_logits, "output_biases": d_logits.sum(0)}
    return {"pre_activations": z, "hidden": hidden, "logits": logits, "outputs": outputs,
            "loss": -np.log(outputs[rows, labels]).mean(), "d_logits": d_logits,
            "d_hidden": d_hidden, "d_pre_activations": d_z,
            **{f"d_{name}": grad for name, grad in grads.items()},
            "new_hidden_weights": hidden_weights - learning_rate * grads["hidden_weights"],
            "new_hidden_biases": hidden_biases - learning_rate * grads["hidden_biases"],
            "new_output_weights": output_weights - learning_rate * grads["output_weights"],
            "new_output_biases": output_biases - learning_rate * grads["output_biases"]}
"""


def solve(**problem: Any) -> dict[str, Any]:
    """Solve a problem as a student would: apart from the package's own equations."""
    names: dict[str, Any] = {}
    exec(SOLUTION, names)
    return names["steps"](**problem)


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "alice.py": "print('noise')" + SOLUTION,
        "bob.py": SOLUTION.replace("np.exp(-z)", "np.exp(z)"),
        "carol.py": "def steps(**problem):\n    while True: pass",
        "dora.py": "import os\nos.abort()",
        "eve.py": "def steps(**problem):\n    return 1 / 0",
        "frank.py": "def steps(**problem):\n    return [1]",
        "gina.py": "answer = 42",
        "hal.py": "def steps(**problem):\n    return {'loss': object()}",
        "ida.json": '{"d_logits": [[1, 2], [3]]}',
        "jack.npz": "not an archive",
        "kim.json": "[1, 2",
        "lou.py": "import os\ndef steps(**problem):\n    open('litter', 'w')\n    os._exit(0)",
        "mia.py": DAEMON + SOLUTION,
        "ned.json": '{"loss": ' + "9" * 400 + "}",
        "pia.py": "import jax_backprop.derivation.batch",
        "quin.py": "from alice import steps",
        "ray.json": "[" * 100_000,
        "sue.PY": SOLUTION,
        "_helper.py": "raise SystemExit",
        "notes.txt": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    np.savez_compressed(tmp_path / "olga.npz", loss=np.random.default_rng(0).normal(size=200))
    content = bytearray((tmp_path / "olga.npz").read_bytes())
    content[60:120] = bytes(255 - each for each in content[60:120])
    (tmp_path / "olga.npz").write_bytes(content)
    return tmp_path


def _children() -> list[str]:
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "python"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_a_folder_of_submissions_gives_a_line_each(folder: Path, tmp_path_factory, capsys) -> None:
    out = tmp_path_factory.mktemp("out") / "lines.jsonl"
    before = sorted(folder.iterdir())
    start = time.monotonic()
    assert call("check-folder", folder, "--out", out, "--seconds", 2) == 1
    assert time.monotonic() - start < 30
    records = {line["submission"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert list(records) == sorted(records) and len(records) == 19
    reasons = {name: record["reason"] for name, record in records.items()}
    assert records["alice.py"]["verdict"] == "pass"
    assert (records["bob.py"]["first"], records["bob.py"]["equation"]) == ("hidden", "(2)")
    assert {row["verdict"] for row in records["bob.py"]["steps"]} == {"right", "wrong", "follows"}
    assert reasons["carol.py"] == "no answer within 2 s"
    assert "-6" in reasons["dora.py"]
    assert reasons["eve.py"] == "ZeroDivisionError, line 2: division by zero"
    assert "returned a list" in reasons["frank.py"]
    assert "defines no function steps" in reasons["gina.py"]
    assert "loss isn't an array of numbers" in reasons["hal.py"]
    assert "expected an array of numbers" in reasons["ida.json"]
    assert "not a zip file" in reasons["jack.npz"] and "an .npz of" in reasons["jack.npz"]
    assert "Expecting ',' delimiter" in reasons["kim.json"]
    assert records["mia.py"]["verdict"] == "pass", "what it left running has ended with it"
    assert not _children()
    assert "of more than 256 bits" in reasons["ned.json"]
    assert "olga.npz" in reasons["olga.npz"] and records["olga.npz"]["verdict"] == "error"
    assert "No module named 'jax_backprop" in reasons["pia.py"]
    assert "No module named 'alice'" in reasons["quin.py"], "each is alone"
    assert "recursion" in reasons["ray.json"] and records["sue.PY"]["verdict"] == "pass"
    assert "the answer isn't an .npz" in reasons["lou.py"]
    assert "19 submissions: 3 pass, 1 fail, 15 could not be judged" in capsys.readouterr().err
    assert [path for path in sorted(folder.iterdir()) if path not in before] == []


def test_a_problem_is_given_out_and_its_answers_judged(tmp_path: Path, capsys) -> None:
    problem = tmp_path / "problem.npz"
    arguments = ["--layer-sizes", "2,3,2", "--batch-size", 4, "--seed", 5]
    assert call("check-folder", *arguments, "--save-problem", problem) == 0
    given = read_problem(problem)
    steps = solve(**given._asdict())
    np.savez(tmp_path / "ann.npz", **steps)
    as_lists = {name: np.asarray(value).tolist() for name, value in steps.items()}
    (tmp_path / "ben.json").write_text(json.dumps(as_lists | {"loss": 0.0}))
    capsys.readouterr()
    assert call("check-folder", tmp_path, "--problem", problem) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["submission"], each["verdict"]) for each in lines] == [
        ("ann.npz", "pass"),
        ("ben.json", "fail"),
    ]
    assert lines[1]["first"] == "loss"
    assert call("check-folder", "--save-problem", problem) == 2, "a problem is never replaced"


def test_pickles_are_refused(tmp_path: Path, capsys) -> None:
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    buffer = io.BytesIO()
    np.savez(buffer, loss=np.array([Trap()], dtype=object))
    (tmp_path / "trap.npz").write_bytes(buffer.getvalue())
    assert call("check-folder", tmp_path) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "error"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "folder of submissions: got nowhere"),
        (["."], "which holds none"),
        ([], "Name it, or --save-problem"),
        ([".", "--layer-sizes", "2,2"], "problem: got layer sizes 2,2"),
        ([".", "--problem", "nowhere.npz"], "Make one with --save-problem"),
        ([".", "--seconds", "0"], "seconds: got 0"),
        ([".", "--tolerance", "-1"], "tolerance: got -1"),
    ],
)
def test_mistakes_to_check_folder(arguments, message: str, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("check-folder", *arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert not list(tmp_path.iterdir())
