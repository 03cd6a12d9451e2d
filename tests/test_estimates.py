"""What a study would take, by a fake clock: one segment's time, multiplied up."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import jax
from test_cli import call

from jax_backprop import Study
from jax_backprop.engine import Options, estimates
from jax_backprop.engine.studies import make_runner

FIELDS = {"title": "t", "question": "q", "dataset": "noise:16,4,2", "hidden_sizes": [3]}


def make(epochs: int, seeds: int):
    axes = {"learning_rate": [0.1, 1.0], "seed": {"count": seeds}}
    study = Study.model_validate(FIELDS | {"axes": axes, "epochs": epochs, "tile_width": 2})
    options = Options(devices=jax.devices()[:2], tile_width=2)
    runner = make_runner(study, options)
    return runner, runner.groups[0], options


def test_a_group_takes_its_tiles_times_its_segments(monkeypatch) -> None:
    """Compilation, 4 s, apart; the least of three timings, 1 s, for each round of two tiles."""
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0, 21.0, 30.0, 33.0])
    monkeypatch.setattr(estimates, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    runner, group, options = make(epochs=4, seeds=5)
    found = estimates.group_cost(runner, group, options)
    assert len(group.layout.rows) == 5 and group.width == 2
    assert found.compile_seconds == 4.0
    assert found.seconds == 3 * (group.plan.periods // group.segment)
    weights = 4 * (4 * 3 + 3 + 3 * 2 + 2)
    assert found.cell_bytes > weights and found.total_bytes >= 4 * weights


def test_the_fastest_width_is_the_one_with_the_least_seconds(monkeypatch) -> None:
    told: dict[int, float] = {}
    seconds = {1: 9.0, 2: 4.0, 4: 1.5, 8: 3.0}
    monkeypatch.setattr(
        estimates,
        "group_cost",
        lambda runner, group, options: SimpleNamespace(seconds=seconds[group.width]),
    )
    runner, _, options = make(epochs=1, seeds=1)
    monkeypatch.setattr(estimates, "WIDTHS", tuple(seconds))
    monkeypatch.setattr(estimates.np, "bincount", lambda codes: estimates.np.array([4]))
    width = estimates.fastest_width(runner, runner.groups, options, told.__setitem__)
    assert width == 4 and told == seconds


def test_a_dry_run_says_what_was_estimated(tmp_path: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "study.toml"
    axes = "[axes]\nlearning_rate = [0.1, 1.0]\nseed = { count = 3 }\nbatch_size = [4, 8]\n"
    path.write_text(
        'title = "t"\nquestion = "q"\ndataset = "noise:16,4,2"\nhidden_sizes = [3]\n'
        f"epochs = 5\ntile_width = 2\n{axes}"
    )
    seconds = iter([(1.5, 20.0), (2.25, 4.0)])

    def fake(runner, group, options):
        compiling, training = next(seconds)
        return estimates.GroupCost(group, compiling, training, 3 * 1024, 7 * 1024**2)

    monkeypatch.setattr(estimates, "group_cost", fake)
    assert call("sweep", path, "--dry-run") == 0
    text = " ".join(re.sub("[^ -~]", " ", capsys.readouterr().out).split())
    assert "12 cells in 2 groups; at most 7 MiB at once" in text
    assert "expected 24.0 s of training and 3.8 s of compilation" in text
    for steps, compiling, training in ((20, "1.5", "20.0"), (10, "2.2", "4.0")):
        assert f" 6 {steps} 2 (last axis) 3 " in text and f" 3 7 {compiling} {training} " in text
