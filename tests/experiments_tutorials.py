"""The tutorials run, and say what they promise."""

from __future__ import annotations

import re
import runpy
import tempfile
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parent.parent / "experiments" / "tutorials"
SAID = {
    "backprop_in_twenty_minutes": ("all 4 steps are right", r"rate  10.0: loss", r"accuracy 0\.9"),
    "is_my_backward_pass_right": ("(19N)", "The factor O is missing.", "all 2 steps are right"),
    "learning_rate_of_my_model": ("pass", "best of the grid: ", "found: "),
    "teachers_guide": (
        "ann,ann.py,6,6,pass",
        "ben,ben.py,3,6,fail",
        "no answer within 3 s",
        "The factor O is missing.",
    ),
}


GIVEN = """
import numpy as np
with np.load({!r}) as numbers:
    given = {{name: numbers[name] for name in numbers.files if name != "learning_rate"}}
params = [[given[f"{{layer}}_{{part}}"] for part in ("weights", "biases")]
          for layer in ("hidden", "output")]
"""


def test_every_tutorial_is_tried() -> None:
    assert {path.stem for path in TUTORIALS.glob("*.py")} == set(SAID)


@pytest.mark.parametrize("name", SAID)
def test_a_tutorial_says_what_it_promises(name: str, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runpy.run_path(str(TUTORIALS / f"{name}.py"))
    said = capsys.readouterr().out
    for part in SAID[name]:
        assert part in said or re.search(part, said), said


def test_otter_passes_what_is_right_and_tells_the_first_wrong_step(monkeypatch, tmp_path) -> None:
    """The guide's test file, as otter runs it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    otter = pytest.importorskip("otter", reason="pip install otter-grader")
    guide = runpy.run_path(str(TUTORIALS / "teachers_guide.py"))
    grader = otter.Notebook(tests_dir=str(guide["place"] / "tests"))
    for student, passed in (("ann", True), ("ben", False)):
        names = {name: guide[name] for name in ("given", "params")}
        exec((guide["handed_in"] / f"{student}.py").read_text(), names)
        found = grader.check("backprop", global_env=names)
        assert found.passed_all == passed
        assert ("dW1 is wrong" in found.summary()) != passed


def test_nbgrader_gives_the_points_of_what_is_right_alone(monkeypatch, tmp_path) -> None:
    """The guide's cell below a student's, run and graded as nbgrader's autograder does."""
    reason = "pip install nbgrader"
    preprocessors = pytest.importorskip("nbgrader.preprocessors", reason=reason)
    from nbformat.v4 import new_code_cell, new_notebook
    from nbgrader.utils import determine_grade

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    guide = runpy.run_path(str(TUTORIALS / "teachers_guide.py"))
    numbers = GIVEN.format(str(guide["place"] / "ben.npz"))
    points = {}
    for student in ("ann", "ben"):
        code = (guide["handed_in"] / f"{student}.py").read_text()
        cells = [new_code_cell(numbers), new_code_cell(code), new_code_cell(**guide["test_cell"])]
        notebook, _ = preprocessors.Execute().preprocess(new_notebook(cells=cells), {})
        points[student] = determine_grade(notebook.cells[-1])
    assert points == {"ann": (6, 6), "ben": (0, 6)}
    assert "dW1 is wrong" in notebook.cells[-1].outputs[0].evalue
