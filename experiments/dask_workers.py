"""A Dask scheduler, its workers and a sweep's driver as processes (see ``cluster.py``)."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeAlias

Driver: TypeAlias = "subprocess.Popen[str]"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster:
    """A scheduler and workers on the loopback; a worker that is killed is followed by another."""

    def __init__(self, workers: int, **changed: str) -> None:
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self._environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
        self._scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
        self._environment |= changed
        self.workers = [self._worker() for _ in range(workers)]

    def _start(self, module: str, *args: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *args]
        return subprocess.Popen(
            [*command, "--no-dashboard"],
            env=self._environment,
            stderr=subprocess.DEVNULL,
            cwd="/",  # from where Python would import, too
        )

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny")

    def kill_one(self) -> None:
        """Kill a worker, and start another in its place."""
        place = random.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._worker()

    def pause_one(self) -> None:
        """Stop a worker for five seconds, and let it go on."""
        worker = random.choice(self.workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(5)
        worker.send_signal(signal.SIGCONT)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for each in [*self.workers, self._scheduler]:
            each.kill()
            each.wait()


def sweep(
    study: Path,
    out: Path,
    *flags: str,
    limit: int | None = None,
    changed: dict[str, str] | None = None,
) -> Driver:
    """Start a sweep as a process of its own, in the study's folder."""
    command = [sys.executable, "-m", "jax_backprop", "sweep", study, "--out", out, *flags]
    if limit is not None:  # in KiB a file
        command = ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command]
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(changed or {})},
        cwd=study.parent,
    )
