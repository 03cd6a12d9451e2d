"""The sweep's commands: study files, progress, signals, shares, folders, estimates, the map."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_cli import STUDY as SMALL
from test_cli import call
from test_cli_show import printed, read_json

from jax_backprop.engine import load_study
from jax_backprop.report.maps import draw_map
from jax_backprop.training import unsealed_arrays

HURRY = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")  # of the tests: a segment would last long
SHORT_SEGMENTS = """
import sys
from jax_backprop.engine import tiles
tiles.CPU = tiles.CPU._replace(segment_work=1e9)
from jax_backprop.cli import main
sys.exit(main())
"""
STUDY = """
# A comment that stays.
title = "t"
question = "q"
dataset = "noise:16,16,2"
hidden_sizes = [16]
epochs = 20
curves = "none"
[axes]
"layer_factors.0" = { low = 0.1, high = 10, count = 12 }
"layer_factors.1" = { low = 0.1, high = 1000, count = 10 }
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    (folder / "study.toml").write_text(STUDY)
    assert call("sweep", folder / "study.toml", "--out", folder / "results") == 0
    return folder / "results"


def test_the_map_is_a_picture_with_a_pixel_a_network(results: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("jax_backprop.study.overview.MOST_SERIES", 50)
    assert call("report", results) == 2
    assert "too many series for a page" in capsys.readouterr().err
    monkeypatch.setattr("jax_backprop.report.maps.FEWEST_VALUES", 5)
    assert call("report", results) == 0
    assert "120 networks" in capsys.readouterr().out
    page = (results / "report.html").read_text()
    assert "A pixel a network" in page and "of 120 networks ended below their start" in page
    with Image.open(results / "map.png") as picture:
        assert picture.size == (12, 10)
    assert (results / "map_axes.svg").read_text().startswith("<svg")
    assert (results / "map_axes.png").read_bytes().startswith(b"\x89PNG")


def test_show_counts_what_is_too_much_to_list(results: Path, capsys) -> None:
    text = printed(capsys, "show", results)
    cells = load_study(results).to_pandas()
    best = cells.loc[cells["validation_loss"].idxmin()]
    assert "12 layer_factors.0 (0.1 to 10)" in text and "120 networks" in text
    assert f"validation_loss {best['validation_loss']:.6g}" in text
    assert f"layer_factors.1 {best['layer_factors.1']:.6g}" in text
    found = read_json(capsys, "show", results)
    above = cells["tail_loss"] > cells["loss_at_start"] * (1 + 1e-6)
    assert found["cells"]["diverged"] == (above | cells["non_finite"]).sum() > 0
    assert "expected the folder of a study" in printed(capsys, "show", results.parent, code=2)


def test_the_maps_colours_and_directions() -> None:
    """Blue converged, red ended above its start, darker the faster; the largest rates top right."""
    cells = pd.DataFrame(
        {
            "seed": 0,
            "x": [1.0, 2.0, 1.0, 2.0],
            "y": [1.0, 1.0, 2.0, 2.0],
            "loss_at_start": 1.0,
            "tail_loss": [0.5, 0.1, 2.0, np.nan],
            "non_finite": False,
            "mean_relative_loss": [0.9, 0.2, 1.0, 1.0],
            "mean_inverse_loss": [1.0, 1.0, 0.8, 0.1],
        }
    )
    found = draw_map(cells, ("x", "y"))
    red, green, blue = np.moveaxis(found.pixels.astype(int), -1, 0)
    assert (red[0] > blue[0]).all() and (blue[1] >= red[1]).all()
    darkness = -(red + green + blue)
    assert darkness[1, 1] > darkness[1, 0] and darkness[0, 1] > darkness[0, 0]
    assert found.converged == 0.5 and found.values == ([1.0, 2.0], [1.0, 2.0])
    levels = found.levels.ravel().tolist()
    assert [found.speeds[level] for level in levels] == [0.8, 0.1, 0.9, 0.2]


def test_progress_for_machines_and_another_study_set_aside(
    results: Path, study: Path, capsys
) -> None:
    assert call("sweep", study, "--out", results, "--json-progress") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[-1]["done_cells"] == rows[-1]["total_cells"] == 120
    other = study.parent / "other"
    assert call("sweep", study, "--new", other, "--set", "epochs=1") == 0
    assert call("sweep", study, "--new", other) == 2
    assert "which exists" in capsys.readouterr().err
    assert call("sweep", study, "--out", other, "--set", "epochs=2", "--set-aside") == 0
    assert "it is now" in capsys.readouterr().err
    assert (study.parent / "other.old-1" / "study.json").is_file()
    assert json.loads((other / "study.json").read_text())["study"]["epochs"] == 2


def test_shares_are_merged(study: Path, capsys) -> None:
    shares = [study.parent / f"share{part}" for part in (1, 2)]
    for part, share in enumerate(shares, start=1):
        assert call("sweep", study, "--out", share, "--part", f"{part}/2") == 0
    assert call("merge", study.parent / "whole", *shares) == 0
    assert "120 networks of 2 shares" in capsys.readouterr().out
    for part in ("3/2", "1/" + "9" * 5000):
        assert call("sweep", study, "--out", study.parent / "x", "--part", part) == 2


def test_a_dry_run_writes_nothing(study: Path, capsys) -> None:
    before = sorted(study.parent.iterdir())
    assert call("sweep", study, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "120 cells in 1 groups" in printed and "Nothing was trained" in printed
    assert sorted(study.parent.iterdir()) == before
    assert call("sweep", study) == 2 and "neither --out nor --new" in capsys.readouterr().err


def test_a_tuned_width_goes_into_the_study_file(study: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("jax_backprop.engine.estimates.WIDTHS", (2, 4))
    assert call("sweep", study, "--tune-width") == 0
    text = study.read_text()
    assert tomllib.loads(text)["tile_width"] in (2, 4) and "# A comment that stays." in text
    assert "tiles of  4" in capsys.readouterr().out


def test_a_signal_stops_after_the_segment_and_the_same_command_continues(study: Path) -> None:
    """Interrupted, then the same command ended: it went on from what the first had saved."""
    results = study.parent / "long"
    command = [sys.executable, "-c", SHORT_SEGMENTS, "sweep", str(study), "--out", str(results)]
    command += ["--set", "epochs=200000", "--json-progress"]
    users = {key: value for key, value in os.environ.items() if key not in HURRY}
    saved = []
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=users
        ) as run:
            assert run.stdout is not None and run.stderr is not None
            for line in run.stdout:
                if json.loads(line)["steps_per_second"]:
                    break
            started = time.perf_counter()
            run.send_signal(number)
            _, printed = run.communicate(timeout=60)
        assert run.returncode == code, printed
        assert "the same command continues" in printed and "Traceback" not in printed
        assert time.perf_counter() - started < 20
        found = unsealed_arrays((results / "checkpoint.safetensors").read_bytes())
        assert found is not None
        saved.append(sum(name.startswith("segment.") for name in found[0]))
    assert 0 < saved[0] < saved[1]


def test_sweep_and_report(capsys, tmp_path: Path, monkeypatch) -> None:
    """The sweep interrupted first, then whole, then found; its report; another's refused."""
    study, out = tmp_path / "study.toml", tmp_path / "results"
    study.write_text(SMALL)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jax_backprop.engine.studies.run_in_folder", interrupt)
        assert call("sweep", study, "--out", out) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert call("sweep", study, "--out", out) == 0
    assert "4 networks" in (printed := capsys.readouterr().out) and "4 trained now" in printed
    assert call("sweep", study, "--out", out) == 0
    assert "0 trained now" in capsys.readouterr().out
    assert call("report", out) == 0
    assert "report.html" in capsys.readouterr().out
    assert call("sweep", study, "--out", out, "--set", "epochs=3") == 2
    assert "epochs = 2 there and 3 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("[0.1, 1.0]", "{ low = 3, high = 1 }"), "must be below high"),
        (
            lambda text: text.replace("learning_rate", "learning_rat"),
            "Did you mean 'learning_rate'",
        ),
        (lambda text: text + '"optimizer.momentum" = [0.9]', "which takes weight_decay"),
        (
            lambda text: text + '"layer_factors.2" = [0.9]',
            "expected one of 0, 0.biases, 0.weights, 1, 1",
        ),
        (lambda text: text + 'schedule = ["cosin"]', "Did you mean 'cosine'?"),
        (lambda text: text + "[[exclude]]\nseed = [0, 1]", "got no cells"),
        (lambda text: 'zip = [["seed", "learning_rat"]]\n' + text, "Did you mean 'learning_rate'"),
        (lambda text: text.replace("epochs", "epoch"), "Did you mean 'epochs'?"),
        (lambda text: text.replace("epochs = 2", 'epochs = "2"'), "field 'epochs': got '2'"),
        (lambda text: text.replace("count = 2", "count = 2.5"), "got 2.5"),
        (lambda text: text.replace("count = 2", "count = 1000000000"), "at most 4,000,000"),
        (lambda text: text.replace('title = "t"', ""), "no field 'title'"),
        (lambda text: text.replace("= 2", "= = 2"), "expected valid TOML"),
        (lambda text: text.replace("[0.1, 1.0]", "[0.1, nan]"), "axis 'learning_rate'"),
        (lambda text: text.replace("[0.1, 1.0]", "[-1.0]"), "got -1.0"),
        (lambda text: 'activation = "tan"\n' + text, "Did you mean 'tanh'?"),
        (lambda text: 'dataset = "mnst"\n' + text, "Did you mean 'mnist'?"),
        (lambda text: text.replace("= 64", "= 6400"), "batch size: got 6400"),
        (lambda text: text + 'schedule = [{ name = "cosine", warmup = 1 }]', "unknown field"),
    ],
)
def test_bad_study_files(change, message: str, capsys, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(change(SMALL))
    assert call("sweep", study, "--out", tmp_path / "out") == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert not (tmp_path / "out" / "study.json").exists()
