"""A million cells: planned and stored, training aside; the map of a million networks; the start."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import row

ROOT = Path(__file__).parent.parent.parent
SIDE = 1000
STARTS = 5


def run() -> list[dict[str, Any]]:
    """Return the rows of this benchmark; each part runs in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, gib, megabytes = _in_child(folder / "planned")
        found = [
            ("1,000,000 cells planned and stored", seconds, 20.0, "s"),
            ("1,000,000 cells, most memory", gib, 2.0, "GiB"),
            ("1,000,000 cells on disk", megabytes, 200.0, "MB"),
            ("1,048,576 networks of the map", _map(folder), 90.0, "s"),
            ("start to first finished shard, warm", _start(folder), 4.0, "s"),
        ]
    return [row(*each, "peer: the aim", aim="ratio <= 1") for each in found]


def plan_and_store(folder: Path) -> None:
    """Plan a grid of a million cells and store results that were never trained."""
    from jax_backprop.engine.cells import cell_ids
    from jax_backprop.engine.folders import begin
    from jax_backprop.engine.options import Options
    from jax_backprop.engine.shard import real_lanes
    from jax_backprop.engine.studies import study_grid, study_workload
    from jax_backprop.engine.tables import Record, to_tables
    from jax_backprop.study_file import Study

    axis = {"low": 1e-2, "high": 1e2, "count": SIDE}
    study = Study.model_validate(
        {
            "title": "a million",
            "question": "how long?",
            "dataset": "noise:16,16,2",
            "hidden_sizes": [16],
            "epochs": 200,
            "curves": "none",
            "axes": {"layer_factors.0": axis, "layer_factors.1": axis},
        }
    )
    generator = np.random.default_rng(0)

    def invented(cells: int) -> Record:
        names = [f"{s}_{n}" for s in ("train", "validation", "test") for n in ("loss", "accuracy")]
        final = {name: generator.random(cells, np.float32) for name in names}
        losses = generator.random((cells, 201), np.float32)
        return Record(losses, np.ones(cells, bool), final, {}, np.arange(2), {})

    workload, parts = study_workload(study), 0
    with begin(workload, study_grid(study), folder, Options()) as (opened, runner):
        for group in runner.groups:
            for shard in range(group.layout.shards):
                rows, real = group.layout.shard(shard)
                cells = group.cells.take(rows[real_lanes(rows, real)])
                ids = cell_ids(cells, workload.fixed)
                opened.write(parts, to_tables(cells, ids, invented(len(ids))))
                parts += 1


def _in_child(folder: Path) -> tuple[float, float, float]:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import million; from pathlib import Path\n"
        "million.report(Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder)]
    found = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return found["seconds"], found["gib"], size / 1e6


def report(folder: Path) -> None:
    """Print how long planning and storing took, imports apart, and the most memory."""
    import jax

    import jax_backprop.engine.studies  # noqa: F401

    jax.devices()
    started = time.perf_counter()
    plan_and_store(folder)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps({"seconds": seconds, "gib": peak}))


def _map(folder: Path) -> float:
    """Return the seconds of the whole command, from its start."""
    started = time.perf_counter()
    subprocess.run(
        _sweep("trainability_map", folder / "map"), check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def _start(folder: Path) -> float:
    """Return the median seconds from the command's start to its first finished shard."""
    found = []
    for number in range(STARTS + 1):
        command = [*_sweep("learning_rate", folder / f"start{number}"), "--json-progress"]
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if json.loads(line)["computed_cells"]:
                    break
            found.append(time.perf_counter() - started)
            child.terminate()
            child.stdout.read()
    return statistics.median(found[1:])  # the first one fills the compilation cache


def _sweep(study: str, out: Path) -> list[str]:
    path = ROOT / "experiments" / f"{study}.toml"
    return [sys.executable, "-m", "jax_backprop", "sweep", str(path), "--out", str(out)]
