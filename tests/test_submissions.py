"""A folder of submissions: each marked alone, whatever it does, and its first mistake named."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_submissions import BODY, CODE, DATA, HOSTILE, RIGHT, SEEN
from students import solve
from test_cli import call

from jax_backprop.marking.folder import mark_one
from jax_backprop.marking.problem import Problem
from jax_backprop.marking.sandbox import taken, why_no_sandbox
from jax_backprop.marking.submissions import Submission, student_of

sandboxed = pytest.mark.skipif(bool(why_no_sandbox()), reason=f"no sandbox: {why_no_sandbox()}")


def sheet(problem: Problem, scale: float = 1.0) -> str:
    """Return a right answer as JSON, its hidden layer's gradient scaled."""
    found = problem.draw().arrays
    given = {"X": found["inputs"], "L": np.eye(3)[found["labels"]]}
    steps = solve(given | {name: found[name] for name in ("W1", "b1", "W2", "b2")})
    steps["dW1"] = steps["dW1"] * scale
    return json.dumps({name: np.asarray(value).tolist() for name, value in steps.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """52 submissions: programs, files that can't be judged or are left out, and answers."""
    place = tmp_path_factory.mktemp("class") / "handed in"
    place.mkdir()
    for name, text in (CODE | DATA).items():
        path = place / name
        if name.endswith("_file_"):
            path.mkdir()
            path = path / "backprop.py"
        path.write_bytes(text.encode("latin-1"))
    for n in range(26):
        (place / f"y{n:02}.json").write_text(sheet(Problem(), scale=1.0 if n % 5 else 2.0 + n))
    with zipfile.ZipFile(place / "zoe.zip", "w") as archive:
        archive.writestr("hw/own.py", BODY)
        archive.writestr(
            "hw/backprop.py",
            "import own\nown.np = __import__('numpy')\nfrom own import steps\n" + "# def steps\n",
        )
        archive.writestr("../../escape.py", "")
    with (place / "zulu.py").open("wb") as file:
        file.truncate(2**30)
    return place


def marks(out: Path) -> dict[str, dict]:
    lines = (out / "marks.jsonl").read_text().splitlines()
    return {line["submission"]: line for line in map(json.loads, lines)}


@sandboxed
def test_a_class_is_marked_killed_in_between_and_marked_again(folder, tmp_path, capsys) -> None:
    """One run over all that can go wrong takes its time: one submission never ends."""
    problem, out = tmp_path / "problem.toml", tmp_path / "marks"
    problem.write_text("seconds = 6\nrequired = ['dW1', 'dW2', 'db1', 'd_output_biases']\n")
    before = sorted(folder.rglob("*"))
    command = [sys.executable, "-m", "jax_backprop", "mark", str(folder), "--problem", str(problem)]
    process = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE)
    results = out / "results"
    while not results.is_dir() or len(list(results.glob("*.json"))) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in results.glob("[a-z]*.json")}
    assert call("mark", folder, "--problem", problem, "--out", out) == 1
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    found = marks(out)
    assert len(found) == 52 and list(found) == sorted(found)
    reasons = {name: mark["reason"] for name, mark in found.items()}
    passed = {name for name, mark in found.items() if mark["verdict"] == "pass"}
    right = {f"y{n:02}.json" for n in range(26) if n % 5}
    assert passed == right | {
        *("alice.py", "mia.py", "nia.ipynb", "ovid.py", "quin.py", "zoe.zip"),
        "Ray Doe_77_assignsubmission_file_",
    }
    assert found["bob.py"]["equation"] == "(19N)" and "factor O is missing" in reasons["bob.py"]
    assert found["bob.py"]["points"] == 2 and found["y05.json"]["mistake"] == "a constant factor"
    assert found["Ray Doe_77_assignsubmission_file_"]["student"] == "Ray Doe"
    for name, part in {
        "carol.py": "no answer within 6 s",
        "dora.py": "SIGABRT",
        "eve.py": "ZeroDivisionError, line 2: division by zero",
        "frank.py": "numbers are wanted",
        "gina.py": "defines no function steps",
        "hal.py": "expected an array of numbers",
        "iris.py": "SystemExit",
        "kai.py": "MemoryError",
        "lou.py": "No module named 'alice'",
        "pia.py": "No module named 'jax_backprop'",
        "sam.json": "loss is the first step that is wrong",
        "tess.json": "256 bits",
        "uma.json": "recursion",
        "vic.npz": "not a zip file",
        "walt.docx": "no .py, .ipynb, .npz or .json",
        "xena.ipynb": "isn't a notebook",
        "=cmd|.py": "isn't text in UTF-8",
        "zulu.py": "1,073,741,824 bytes",
    }.items():
        assert part in reasons[name], (name, reasons[name])
    assert sorted(folder.rglob("*")) == before
    again = tmp_path / "again"
    for name in ("problem.json", "results/carol.py.json"):  # once is enough of what never ends
        (again / name).parent.mkdir(exist_ok=True)
        shutil.copy(out / name, again / name)
    assert call("mark", folder, "--problem", problem, "--out", again) == 1
    assert (again / "marks.csv").read_text() == (out / "marks.csv").read_text()
    capsys.readouterr()
    _check_pages(out, found)


def _check_pages(out: Path, found: dict[str, dict]) -> None:
    rows = list(csv.reader(io.StringIO((out / "marks.csv").read_text())))
    assert len(rows) == 53 and rows[0][:3] == ["student", "submission", "points"]
    assert not [cell for row in rows for cell in row if cell.startswith("=")]
    overview = (out / "index.html").read_text()
    assert (
        overview.count("<tr>") == 53
        and "(19N) the slope as 1 - O: 1" in overview
        and "<rect" in overview
    )
    page = (out / "students" / "bob.py" / "index.html").read_text()
    told = json.loads((out / "students" / "bob.py" / "results.json").read_text())
    assert [test["score"] for test in told["tests"]] == [1.0, 1.0, 0.0, 0.0]
    assert "The factor O is missing" in page and "The factor O is missing" in told["output"]
    answer = json.loads(sheet(Problem()))
    digits = {f"{abs(value):.3f}" for value in np.ravel(answer["dZ1"])}
    assert not [each for each in digits if each in page or each in told["output"]]
    assert "http:" not in overview + page and "<script" not in overview + page


@sandboxed
def test_a_submission_sees_nothing_but_its_own(tmp_path: Path, capsys) -> None:
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    (tmp_path / "class").mkdir()
    places = [str(Path(__file__)), str(tmp_path), "/etc/passwd", "/home"]
    text = SEEN.format(places=places, port=port)
    (tmp_path / "class" / "spy.py").write_text(text + RIGHT)
    with server:
        assert call("mark", tmp_path / "class") == 0, capsys.readouterr().out


@sandboxed
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_submission_ends_itself_alone(name: str, tmp_path: Path) -> None:
    """Whoever marks, root too: limits are of all its processes, and mounts can't be undone."""
    code, said = HOSTILE[name]
    (tmp_path / f"{name}.py").write_text(code)
    started = time.monotonic()
    problem = Problem(seconds=8, megabytes=256)
    mark = mark_one(Submission(f"{name}.py", name, tmp_path / f"{name}.py"), problem)
    assert mark.verdict == "error" and said in mark.reason, mark.reason
    assert "no answer" not in mark.reason and time.monotonic() - started < 8


def test_memory_and_processes_of_all_children_are_counted() -> None:
    code = "import os, time; kept = b'x' * 2**26\nfor _ in range(3): os.fork()\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        try:
            while taken(process.pid)[0] < 8:
                assert process.poll() is None
                time.sleep(0.02)
            found = taken(process.pid)
            assert found[0] == 8 and 2**26 < found[1] < 3 * 2**26, "shared pages are counted once"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert taken(process.pid) == (0, 0)


def test_numbers_are_handed_out_and_answers_marked(tmp_path: Path, capsys) -> None:
    toml = tmp_path / "p.toml"
    toml.write_text("per_student = true\nseed = 3\nhints = 'where'\n")
    problem = Problem(per_student=True, seed=3)
    assert (
        call("mark", "--problem", toml, "--hand-out", tmp_path / "ann.npz", "--student", "ann") == 0
    )
    with np.load(tmp_path / "ann.npz") as given:
        handed = {name: given[name] for name in given.files}
    assert not np.array_equal(handed["inputs"], problem.draw("ben").arrays["inputs"])
    network = {
        "X": handed["inputs"],
        "L": np.eye(3)[handed["labels"]],
        **{"W1": handed["hidden_weights"], "b1": handed["hidden_biases"]},
        **{"W2": handed["output_weights"], "b2": handed["output_biases"]},
    }
    steps = solve(network)
    (tmp_path / "class").mkdir()
    np.savez(tmp_path / "class" / "ann.npz", **steps)
    np.savez(tmp_path / "class" / "ben.npz", **steps)
    capsys.readouterr()
    assert call("mark", tmp_path / "class", "--problem", toml, "--trusted") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    verdicts = {line["student"]: (line["verdict"], len(line["hint"])) for line in lines}
    assert verdicts == {"ann": ("pass", 0), "ben": ("fail", 1)}
    assert call("mark", "--hand-out", tmp_path / "ann.npz") == 2, "a problem is never replaced"


def test_labels_off_by_one_change_every_gradient() -> None:
    found = Problem(seed=1).draw().arrays
    given = {"X": found["inputs"], **{n: found[n] for n in ("W1", "b1", "W2", "b2")}}
    right = solve(given | {"L": np.eye(3)[found["labels"]]})
    off = solve(given | {"L": np.eye(3)[(found["labels"] + 1) % 3]})
    assert all(not np.allclose(right[name], off[name]) for name in ("dW1", "db1", "dW2", "db2"))


@pytest.mark.parametrize("code", [RIGHT, RIGHT.replace("import numpy", "import pandas, numpy")])
def test_without_a_sandbox_only_the_trusted_are_run(
    code: str, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("PATH", "")
    why_no_sandbox.cache_clear()
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ann.py").write_text(code)
    assert call("mark", tmp_path / "class") == 2
    assert "bubblewrap (bwrap) isn't installed" in capsys.readouterr().err
    (tmp_path / "p.toml").write_text("packages = ['pandas']" if "pandas" in code else "")
    assert call("mark", tmp_path / "class", "--problem", tmp_path / "p.toml", "--trusted") == 0
    assert json.loads((tmp_path / "class-marks" / "results.json").read_text())["tests"]
    why_no_sandbox.cache_clear()


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("Ann Lee_123456_assignsubmission_file_", "Ann Lee"),
        ("leeann_12345_67890_backprop.py", "leeann"),
        ("leeann_LATE_12345_67890_backprop-1.ipynb", "leeann"),
        ("ann.lee.zip", "ann.lee"),
        ("submission_123", "submission_123"),
    ],
)
def test_students_are_known_by_their_files_names(name: str, student: str) -> None:
    assert student_of(name) == student


@pytest.mark.parametrize(
    ("toml", "arguments", "message"),
    [
        ("", ["nowhere"], "folder of submissions: got nowhere"),
        ("", ["empty"], "which holds none"),
        ("", [], "Name it, or --hand-out"),
        ("required = ['dW3']", ["class"], "'required': got unknown step 'dW3'; expected a step"),
        ("required = ['d_logit_s']\npoints = { dQ = 1 }", ["class"], "unknown step 'dQ'"),
        ("layer_sizes = [4]", ["class"], "layer_sizes"),
        ("layer_sizes = [4, 5, 1]", ["class"], "2 or more classes for softmax"),
        ("hint = 'what'", ["class"], "Did you mean 'hints'"),
        ("packages = ['no-such-thing']", ["class", "--trusted"], "packages: got 'no-such-thing'"),
        ("packages = ['jax-backprop']", ["class", "--trusted"], "packages"),
        ("seconds = 0", ["class"], "seconds"),
        ("seconds =", ["class"], "a problem in TOML"),
    ],
)
def test_mistakes_to_mark(
    toml: str, arguments, message: str, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.py").write_text(RIGHT)
    Path("p.toml").write_text(toml)
    assert call("mark", *arguments, "--problem", "p.toml") == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class", "empty", "p.toml"]


def test_too_much_processor_time_is_told_although_nobody_looked(tmp_path, monkeypatch) -> None:
    """On a busy machine the clock is looked at too late: the system's own limit ends the run."""
    monkeypatch.setattr("jax_backprop.marking.sandbox.LOOK", 60.0)
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "loop.py").write_text("def steps(*_):\n    while True: pass\n")
    (tmp_path / "problem.toml").write_text("seconds = 1\n")
    out = tmp_path / "marks"
    arguments = ("--problem", tmp_path / "problem.toml", "--out", out, "--trusted")
    assert call("mark", tmp_path / "class", *arguments) == 1
    assert "no answer within 1 s of the processor" in marks(out)["loop.py"]["reason"]
