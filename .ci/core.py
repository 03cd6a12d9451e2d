"""The core alone: how large it is, what works in it, and how a missing extra is said."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

MOST, MOST_MB = 24, 650
INSTALLERS = {"pip", "setuptools", "wheel"}  # what a new environment brings
# Commands, and the extra that each asks for.
ASKING = {
    "train --dataset digits --epochs 1": "study",
    "train --dataset noise:60,4,3 --epochs 1 --out model": "study",
    "train --dataset csv:rows.csv,label=a --epochs 1": "study",
    "sweep study.toml --out results": "study",
    "show results": "study",
    "compare results others": "study",
    "report results": "report",
    "data prepare mnist": "study",
    "data info digits": "study",
    "derive": "derivation",
    "verify": "derivation",
}
WORKING = (
    "--help",
    "sweep --help",
    "derive --example",
    "verify --layer-sizes 3 4 2 --batch-size 5",
    "train --dataset noise:60,4,3 --epochs 2 --hidden 5",
    "data list",
    "new mine",
    "data info noise:60,4,3",
    "mark --hand-out problem.npz",
)
STUDY = 'title = ""\nquestion = ""\ndataset = "noise:60,4,3"\n[axes]\nlearning_rate = [1.0]\n'


def main() -> None:
    """Print the core's size, and end with an error for whatever isn't as it should be."""
    found = [each for each in distributions() if each.name.lower() not in INSTALLERS]
    size = sum(_size(Path(str(file.locate()))) for each in found for file in each.files or ())
    _say(f"{len(found)} distributions, {size / 1e6:.0f} MB")
    assert len(found) <= MOST and size <= MOST_MB * 1e6, sorted(each.name for each in found)
    _check_python()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        _check_commands()


def _check_commands() -> None:
    Path("study.toml").write_text(STUDY)
    Path("rows.csv").write_text("a,b\n0,1\n1,2\n")
    for name in ("results", "others"):
        Path(name).mkdir(exist_ok=True)
    for command in WORKING:
        done = _run(command)
        assert done.returncode == 0, (command, done.stderr)
    for command, extra in ASKING.items():
        done = _run(command)
        named = f"pip install 'jax-backprop[{extra}]'" in done.stderr
        assert done.returncode == 2 and named and done.stderr.count("\n") == 1, (command, done)
    _say(f"{len(WORKING)} commands work, {len(ASKING)} name the extra that they need")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_python() -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jax_backprop as jb

    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((90, 4)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(int) + (inputs[:, 1] > 0)
    data = jb.make_dataset(inputs, labels)
    network = jb.Network(layer_sizes=(4, 5, 3))
    params = jb.init_params(network, key=jax.random.key(0))
    result = jb.fit(
        params, data, key=jax.random.key(1), learning_rate=1.0, network=network, epochs=20
    )
    losses = np.asarray(result.history.train.loss)
    assert losses[-1] < losses[0]

    def loss(params: dict, inputs: jax.Array) -> jax.Array:
        return jnp.sum((inputs @ params["weights"]) ** 2)

    def gradient(params: dict, inputs: jax.Array) -> dict:
        return {"weights": 2 * inputs.T @ (inputs @ params["weights"])}

    point = {"weights": jnp.ones((4, 2))}
    assert jb.check_gradient(loss, gradient, point, inputs).passed
    report = jb.check_gradient(
        loss, lambda *args: {"weights": -gradient(*args)["weights"]}, point, inputs
    )
    assert not report.passed
    try:
        _ = jb.load_study
    except ImportError as error:
        assert "jax-backprop[study]" in str(error)
    else:
        raise AssertionError("a sweep without its libraries")


def _run(command: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "jax_backprop", *command.split()]
    return subprocess.run(line, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
