"""Many machines on one: a Dask scheduler and workers as processes, which are lost at random.

``make test-cluster``: each time the parts must have the SHA-256 of a run in one process.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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


class Cluster:
    """A scheduler and workers on the loopback; a worker that is killed is followed by another."""

    def __init__(self, workers: int, **changed: str) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", **changed}
        self._scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
        self.workers = [self._worker() for _ in range(workers)]

    def _start(self, module: str, *args: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *args]
        return subprocess.Popen(
            [*command, "--no-dashboard"], env=self._environment, stderr=subprocess.DEVNULL
        )

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny")

    def kill_one(self) -> None:
        """Kill a worker, and start another in its place."""
        place = random.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._worker()

    def close(self) -> None:
        """End all processes."""
        for each in [*self.workers, self._scheduler]:
            each.kill()
            each.wait()


def sweep(study: Path, out: Path, *flags: str, limit: int | None = None) -> subprocess.Popen[str]:
    """Start a sweep as a process of its own."""
    command = [sys.executable, "-m", "jax_backprop", "sweep", study, "--out", out, *flags]
    if limit is not None:  # in KiB a file
        command = ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command]
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)


def parts(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every part."""
    files = sorted(folder.glob("c*/part-*.parquet"))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def disturbed(
    study: Path, out: Path, cluster: Cluster, disturb: Callable[[subprocess.Popen[str]], None]
) -> None:
    """Run a sweep on a cluster to its end, whatever is done to it; a killed driver begins again."""
    while True:
        driver = sweep(study, out, "--cluster", cluster.address)
        while driver.poll() is None:
            disturb(driver)
            time.sleep(0.2)
        if driver.returncode != -signal.SIGKILL:
            break
    if driver.returncode:
        sys.exit(f"the sweep ended with {driver.returncode}: {driver.communicate()[1]}")


def chance(count: int, act: Callable[[subprocess.Popen[str]], None], every: float) -> Callable:
    """Return what acts so many times, with so many seconds in between."""
    state = {"left": count, "next": time.monotonic() + every}

    def disturb(driver: subprocess.Popen[str]) -> None:
        if state["left"] and time.monotonic() > state["next"]:
            state["left"] -= 1
            state["next"] = time.monotonic() + every * random.uniform(0.5, 1.5)
            act(driver)

    return disturb


def refused(study: Path, out: Path, text: str, *flags: str, limit: int | None = None) -> None:
    """Check that a sweep ends with exit code 2 and one line."""
    driver = sweep(study, out, *flags, limit=limit)
    said = driver.communicate()[1]
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    if driver.returncode != 2 or len(lines) != 1 or text not in lines[0] or "Traceback" in said:
        sys.exit(f"expected exit code 2 and {text!r}: {driver.returncode}, {said}")


def main() -> None:
    """Run the whole, and print a line for each part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--driver-kills", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--workers", type=int, default=4)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        _all(Path(name), chosen)


def _all(root: Path, chosen: argparse.Namespace) -> None:
    study = root / "study.toml"
    study.write_text(STUDY.replace("COUNT", str(chosen.seeds)))
    started = time.monotonic()
    assert sweep(study, root / "alone").wait() == 0
    wanted = parts(root / "alone")
    print(f"one process: {len(wanted)} files, {time.monotonic() - started:.0f} s")
    cluster = Cluster(chosen.workers)

    def pause(_: subprocess.Popen[str]) -> None:
        worker = cluster.workers[0]
        worker.send_signal(signal.SIGSTOP)
        time.sleep(5)
        worker.send_signal(signal.SIGCONT)

    cases = {
        "undisturbed": chance(0, pause, 1.0),
        f"{chosen.kills} workers killed": chance(chosen.kills, lambda _: cluster.kill_one(), 2.0),
        f"{chosen.driver_kills} drivers killed": chance(chosen.driver_kills, _kill, 12.0),
        "a worker paused for 5 s": chance(1, pause, 8.0),
    }
    try:
        for number, (case, disturb) in enumerate(cases.items()):
            started = time.monotonic()
            disturbed(study, root / str(number), cluster, disturb)
            same = parts(root / str(number)) == wanted
            print(
                f"{case}: {time.monotonic() - started:.0f} s, {'same' if same else 'OTHER'} SHA-256"
            )
            if not same:
                sys.exit(1)
        full = root / "full"
        refused(study, full, "output", "--cluster", cluster.address, limit=FILE_LIMIT)
        disturbed(study, full, cluster, cases["undisturbed"])
        print(f"a full disk at the driver: refused, then {parts(full) == wanted}")
    finally:
        cluster.close()
    other = Cluster(1, XLA_FLAGS="--xla_cpu_max_isa=SSE4_2")
    try:
        refused(study, root / "other", "doesn't answer", "--cluster", "tcp://127.0.0.1:9")
        half = shutil.copytree(root / "alone", root / "half")
        next(half.glob("cells/part-00000.parquet")).unlink()
        refused(study, half, "gives other bits", "--cluster", other.address)
        print("a scheduler that isn't there, a worker of another instruction set: refused")
    finally:
        other.close()
    missing = [name for name in ("slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    print(f"Slurm: skipped, no {', '.join(missing)} here" if missing else "Slurm: run it by hand")


def _kill(driver: subprocess.Popen[str]) -> None:
    driver.kill()
    driver.wait()


if __name__ == "__main__":
    main()
