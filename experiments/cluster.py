"""Many machines on one: a Dask scheduler and workers as processes, which are lost at random.

``make test-cluster``: each time the parts must have the SHA-256 of a run in one process. A Slurm of
two nodes is started, too, where its programs are installed (Debian: slurmctld, slurmd,
slurm-client). ``--speed`` measures two workers beside two processes of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import slurm
from dask_workers import Cluster, Driver, free_port, sweep

import jax_backprop

STUDY = """
title = "c"
question = "q"
dataset = "noise:1000,64,10"
hidden_sizes = [32]
batch_size = 32
steps = 600
[axes]
learning_rate = { low = 0.01, high = 10, count = 16 }
seed = { count = COUNT }
"""
FILE_LIMIT = 30  # KiB: a disk that is full after the manifest and before a part


def parts(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every part."""
    files = sorted(folder.glob("c*/part-*.parquet"))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


class Disturbance:
    """What happens to a sweep so many times, with so many seconds in between."""

    def __init__(self, count: int, act: Callable[[Driver], object], every: float) -> None:
        self.left, self._act, self._every = count, act, every
        self._next = time.monotonic() + every

    def __call__(self, driver: Driver) -> None:
        """Disturb, if it is time to."""
        if self.left and time.monotonic() > self._next:
            self._act(driver)
            self.left -= 1
            self._next = time.monotonic() + self._every * random.uniform(0.5, 1.5)


def run_out(
    study: Path,
    out: Path,
    disturb: Callable[[Driver], object],
    *flags: str,
    changed: dict[str, str] | None = None,
) -> None:
    """Run a sweep to its end, whatever is done to it; a driver that was killed begins again."""
    while True:
        driver = sweep(study, out, *flags, changed=changed)
        while driver.poll() is None:
            disturb(driver)
            time.sleep(0.1)
        if driver.returncode != -signal.SIGKILL:
            break
    if driver.returncode:
        sys.exit(f"the sweep ended with {driver.returncode}: {driver.communicate()[1]}")


def refused(
    study: Path,
    out: Path,
    text: str,
    *flags: str,
    limit: int | None = None,
    changed: dict[str, str] | None = None,
) -> None:
    """Check that a sweep ends with exit code 2 and one line."""
    driver = sweep(study, out, *flags, limit=limit, changed=changed)
    said = driver.communicate()[1]
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    if driver.returncode != 2 or len(lines) != 1 or text not in lines[0] or "Traceback" in said:
        sys.exit(f"expected exit code 2 and {text!r}: {driver.returncode}, {said}")
    print(f"refused: {lines[0][:150]}")


class Trial:
    """A study, and what its parts have to be."""

    def __init__(self, root: Path, seeds: int) -> None:
        self.root, self.study, started = root, root / "study.toml", time.monotonic()
        self.study.write_text(STUDY.replace("COUNT", str(seeds)))
        run_out(self.study, root / "alone", lambda _: None)
        self.wanted = parts(root / "alone")
        print(f"one process: {len(self.wanted)} files, {time.monotonic() - started:.0f} s")

    def lost(
        self, case: str, disturb: Disturbance, *flags: str, changed: dict[str, str] | None = None
    ) -> None:
        """Run anew until all has happened that is to happen; compare every file each time."""
        started, runs, count = time.monotonic(), 0, disturb.left
        while disturb.left or not runs:
            out = self.root / "disturbed"
            run_out(self.study, out, disturb, *flags, changed=changed)
            if parts(out) != self.wanted:
                sys.exit(f"{case}: OTHER SHA-256")
            shutil.rmtree(out)
            runs += 1
            if disturb.left == count:
                break  # too fast to be disturbed
        if disturb.left == count > 0:
            sys.exit(f"{case}: the sweep was over before anything happened; take more --seeds")
        seconds = time.monotonic() - started
        print(f"{case}: {runs} runs, {seconds:.0f} s, same SHA-256", flush=True)

    def refusals(self) -> None:
        """Try what is refused: a line each, and nothing that is there is damaged."""
        half = shutil.copytree(self.root / "alone", self.root / "half")
        next(half.glob("cells/part-00000.parquet")).unlink()
        refused(self.study, half, "doesn't answer", "--cluster", "tcp://127.0.0.1:9")
        for changed, text in self._workers():
            with Cluster(1, **changed) as other:
                refused(self.study, half, text, "--cluster", other.address)
        own = self.root / "own"
        own.mkdir()
        (own / "mine.py").write_text("import optax\n\nshape = optax.constant_schedule(1.0)\n")
        with Cluster(1) as cluster:
            to = ("--cluster", cluster.address)
            study = own / "study.toml"
            text = self.study.read_text()
            study.write_text(text.replace("[axes]", '[axes]\nschedule = ["mine:shape"]'))
            refused(study, own / "out", "mine", *to)
            refused(self.study, Path("/proc/results"), "/proc/results", *to)
            refused(self.study, self.root / "full", "output", *to, limit=FILE_LIMIT)
            for out in (half, self.root / "full"):
                run_out(self.study, out, lambda _: None, *to)
                if parts(out) != self.wanted:
                    sys.exit(f"{out.name}: OTHER SHA-256 after a refusal")
        print("refused, and then finished: same SHA-256")

    def _workers(self) -> Iterator[tuple[dict[str, str], str]]:
        """Yield environments of workers that can't give the study's bits, and what is said."""
        yield {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"}, "gives other bits"
        package = Path(jax_backprop.__file__).parent
        older = self.root / "older"
        shutil.copytree(package, older / "jax_backprop")
        start = older / "jax_backprop" / "__init__.py"
        start.write_text(re.sub('__version__ = ".*"', '__version__ = "0.0.1"', start.read_text()))
        yield {"PYTHONPATH": str(older)}, "with jax-backprop = '0.0.1'"
        without = self.root / "without"
        without.mkdir()
        (without / "jax_backprop.py").write_text(
            "raise ModuleNotFoundError(\"No module named 'jax_backprop'\")\n"
        )
        yield {"PYTHONPATH": str(without)}, "expected workers with the package"


def main() -> None:
    """Run the whole, and print a line for each part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--driver-kills", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=4.0, help="seconds between two kills")
    parser.add_argument("--only", default="", help="dask, refusals or slurm")
    parser.add_argument("--speed", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if chosen.speed:
            speed(Path(name), chosen.seeds)
            return
        trial = Trial(Path(name), chosen.seeds)
        if chosen.only in ("", "dask"):
            _dask(trial, chosen)
        if chosen.only in ("", "refusals"):
            trial.refusals()
        if chosen.only in ("", "slurm"):
            slurm_jobs(trial)


def _dask(trial: Trial, chosen: argparse.Namespace) -> None:
    with Cluster(chosen.workers) as cluster:
        to = ("--cluster", cluster.address)
        kill, pause = lambda _: cluster.kill_one(), lambda _: cluster.pause_one()
        trial.lost("undisturbed", Disturbance(0, pause, 1.0), *to)
        workers = Disturbance(chosen.kills, kill, chosen.every)
        trial.lost(f"{chosen.kills} workers killed", workers, *to)
        drivers = Disturbance(chosen.driver_kills, _kill, 3 * chosen.every)
        trial.lost(f"{chosen.driver_kills} drivers killed", drivers, *to)
        trial.lost("a worker paused for 5 s", Disturbance(1, pause, 3 * chosen.every), *to)


def _kill(driver: Driver) -> None:
    driver.kill()
    driver.wait()


def speed(root: Path, seeds: int) -> None:
    """Print how long two workers take, and two processes with a half of the tiles each."""
    study = root / "study.toml"
    study.write_text(STUDY.replace("COUNT", str(seeds)))
    one = {"JAX_NUM_CPU_DEVICES": "1"}

    def seconds(out: Path) -> float:
        return json.loads((out / "study.json").read_text())["seconds"]["sweep"]

    with Cluster(2) as cluster:
        for turn in range(4):
            outs = [root / f"{turn}-{name}" for name in ("1", "2", "cluster")]
            halves = [sweep(study, outs[n], "--part", f"{n + 1}/2", changed=one) for n in range(2)]
            assert [half.wait() for half in halves] == [0, 0]
            run_out(study, outs[2], lambda _: None, "--cluster", cluster.address, changed=one)
            apart, together = max(map(seconds, outs[:2])), seconds(outs[2])
            said = "with compilation" if turn == 0 else f"{apart / together:.0%}"
            load = os.getloadavg()[0]
            print(f"two processes {apart:.1f} s, two workers {together:.1f} s: {said}, load {load}")


def slurm_jobs(trial: Trial) -> None:
    """Run the study as two jobs of a real Slurm, one of which is cancelled on the way."""
    if why := slurm.missing():
        print(f"Slurm: skipped, {why}")
        return
    with slurm.nodes(trial.root / "slurm", [free_port() for _ in range(3)]) as environment:
        cancel = Disturbance(1, lambda _: slurm.cancel_one(environment), 15.0)
        to = ("--cluster", "slurm", "--jobs", "2")
        trial.lost("Slurm, a job cancelled", cancel, *to, changed=environment)
    refused(trial.study, trial.root / "gone", "Unable to contact slurm", *to, changed=environment)


if __name__ == "__main__":
    main()
