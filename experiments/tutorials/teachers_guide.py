# %% [markdown]
# # A class, from hand-out to marks
#
# The whole round in one folder: the problem, the numbers to hand out, what students hand in, and
# the marks. At a terminal each step is one command, `jax-backprop mark`; here they are called
# from Python, so that the guide runs.

# %%
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import jax_backprop as jb

place = Path(tempfile.mkdtemp(prefix="class-"))


def run(*arguments):
    """Run a command of jax-backprop, and print what it says."""
    command = [sys.executable, "-m", "jax_backprop", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"$ jax-backprop {' '.join(map(str, arguments))}\n{done.stderr}{done.stdout}")
    return done.returncode


# %% [markdown]
# ## 1. The problem
# Every line may be left out. With `per_student` nobody can copy numbers. `hints` says how much a
# student is told: `where`, `what`, or `how`; never a number of the answer.

# %%
problem = place / "problem.toml"
problem.write_text("""\
title = "Homework 2: backpropagation"
layer_sizes = [4, 5, 3]
examples = 6
required = ["dW1", "db1", "dW2", "db2"]
points = { dW1 = 2, dW2 = 2 }
per_student = true
hints = "what"
""")

# %% [markdown]
# ## 2. The hand-out
# A file of numbers each: inputs, labels, weights and biases.

# %%
for student in ("ann", "ben"):
    run("mark", "--problem", problem, "--hand-out", place / f"{student}.npz", "--student", student)
with np.load(place / "ann.npz") as given:
    print({name: given[name].shape for name in given.files})

# %% [markdown]
# ## 3. What students hand in
# A program or a notebook that defines `steps`, or the numbers. Ann's is right. Ben forgot the
# slope's first factor. Cleo's runs for ever; it can't hurt the others.

# %%
RIGHT = """
import numpy as np

def steps(inputs, labels, hidden_weights, hidden_biases, output_weights, output_biases):
    L = np.eye(3)[labels]
    O = 1 / (1 + np.exp(-(inputs @ hidden_weights + hidden_biases)))
    Y = np.exp(O @ output_weights + output_biases)
    Y /= Y.sum(axis=1, keepdims=True)
    dZ = (Y - L) / len(L)
    dZ1 = dZ @ output_weights.T * O * (1 - O)
    return {"dW1": inputs.T @ dZ1, "db1": dZ1.sum(0), "dW2": O.T @ dZ, "db2": dZ.sum(0)}
"""
handed_in = place / "handed in"
handed_in.mkdir()
(handed_in / "ann.py").write_text(RIGHT)
(handed_in / "ben.py").write_text(RIGHT.replace("* O * (1 - O)", "* (1 - O)"))
(handed_in / "cleo.py").write_text("while True: pass")

# %% [markdown]
# ## 4. The marks
# Each submission runs alone in bubblewrap. Where that can't be had, `--trusted` runs programs
# with your rights: only your own, as here.

# %%
problem.write_text(problem.read_text() + "seconds = 3\n")
marks = place / "marks"
arguments = ["mark", handed_in, "--problem", problem, "--out", marks]
if run(*arguments) == 2:
    run(*arguments, "--trusted")
print((marks / "marks.csv").read_text())

# %% [markdown]
# `marks/index.html` is the class: who, points, first wrong step, which mistakes were common.
# `marks/students/ben.py/index.html` is for Ben, and `results.json` beside it for Gradescope.

# %%
told = json.loads((marks / "students" / "ben.py" / "results.json").read_text())
print(told["output"])

# %% [markdown]
# ## 5. In a notebook that students work in
# `check_steps` tells pass from fail, and the first wrong step. It compares with the equations,
# so no test holds an answer. This is a test file of otter. A hidden test runs where the package
# is: students don't need it.

# %%
OTTER = """\
import jax_backprop as jb
from otter.test_files import test_case

OK_FORMAT, name, points = False, "backprop", 6

@test_case()
def test_backprop(steps, given, params):
    batch = given["inputs"], given["labels"]
    report = jb.check_steps(steps(**given), params, batch, hints="where")
    assert report.passed, report.text()
"""
(place / "tests").mkdir()
(place / "tests" / "backprop.py").write_text(OTTER)

# %% [markdown]
# For nbgrader it is a cell of its own, below the student's. Mark it "Autograder tests" in the
# Create Assignment toolbar, which writes the `metadata` below. What the assertion says is in the
# student's feedback, so `hints` is the most that is told there.

# %%
NBGRADER = """\
import jax_backprop as jb

batch = given["inputs"], given["labels"]
report = jb.check_steps(steps(**given), params, batch, hints="where")
assert report.passed, report.text()
"""
test_cell = {
    "cell_type": "code",
    "source": NBGRADER,
    "metadata": {
        "nbgrader": {
            **{"grade": True, "points": 6, "locked": True, "solution": False},
            **{"grade_id": "backprop", "schema_version": 3, "task": False},
        }
    },
    **{"execution_count": None, "id": "backprop", "outputs": []},
}

# %% [markdown]
# A student who works at home asks the same, with as much help as you allow.

# %%
with np.load(place / "ben.npz") as numbers:
    given = {name: numbers[name] for name in numbers.files if name != "learning_rate"}
params = (
    (given["hidden_weights"], given["hidden_biases"]),
    (given["output_weights"], given["output_biases"]),
)
names: dict = {"given": given, "params": params}
exec((handed_in / "ben.py").read_text(), names)
batch = (given["inputs"], given["labels"])
print(jb.check_steps(names["steps"](**given), params, batch, hints="what"))
