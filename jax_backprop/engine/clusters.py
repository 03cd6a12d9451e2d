"""Many machines on Dask distributed: workers that are there, on this machine, or asked of Slurm.

A scheduler's port runs the code of anybody who reaches it: keep it in a private network, or use
Dask's TLS (``DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true`` with ``tls://HOST:PORT`` and the
files that Dask's configuration names).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import jax

from jax_backprop.engine.devices import SHORTEST, cores
from jax_backprop.errors import InputError, shown, whole_number
from jax_backprop.extras import extras_named

REACHED = 10.0  # seconds until a scheduler answers
STARTED = 60.0  # seconds until a first worker is there; of a queue as long as it takes


@contextlib.contextmanager
def cluster(named: str, jobs: int | None = None) -> Iterator[Executor]:
    """Hold the workers of a cluster as an executor.

    Args:
      named: ``tcp://HOST:PORT`` (``tls://``) of a scheduler, ``local:N`` for so many processes on
        this machine, ``slurm`` for jobs that Dask's own configuration describes.
      jobs: how many to ask of Slurm.

    Raises:
      InputError: no such kind, a scheduler that isn't reached, no worker.
    """
    kind, _, rest = named.partition(":")
    _check(named, kind, rest, jobs)
    with extras_named():
        distributed = importlib.import_module("distributed")
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with contextlib.ExitStack() as held:
        if kind in ("tcp", "tls"):
            client = held.enter_context(_client(distributed, named))
        else:
            workers = _local(distributed, int(rest)) if kind == "local" else _slurm(jobs or 1)
            client = held.enter_context(distributed.Client(held.enter_context(workers)))
        yield _executor(client, named, wait=kind != "slurm")


def _check(named: str, kind: str, rest: str, jobs: int | None) -> None:
    is_number = 1 <= (whole_number(rest) or 0) <= 4096
    fits = {"tcp": rest.startswith("//"), "tls": rest.startswith("//"), "local": is_number}
    if not (named == "slurm" or fits.get(kind, False)):
        raise InputError(
            "--cluster",
            got=shown(named),
            expected="tcp://HOST:PORT, tls://HOST:PORT, local:N or slurm",
            remedy="Such as local:4 for four processes on this machine.",
        )
    if jobs is not None and kind != "slurm":
        raise InputError(
            "--jobs",
            got=f"{jobs} beside --cluster {named}",
            expected="no --jobs: they are asked of Slurm alone",
            remedy="Leave it out.",
        )


@contextlib.contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=REACHED)
    except (OSError, ValueError) as error:
        raise InputError(
            "--cluster",
            got=f"{address}, which doesn't answer ({type(error).__name__})",
            expected="the address of a running Dask scheduler",
            remedy="Start one (`dask scheduler`), or check host, port and firewall.",
        ) from None
    with client:
        yield client


def _executor(client: Any, named: str, *, wait: bool) -> Executor:
    """Return a client's executor, once there is a worker."""
    try:
        if wait:
            client.wait_for_workers(1, timeout=STARTED)
    except TimeoutError:
        raise InputError(
            "--cluster",
            got=f"{named}, without a worker for {STARTED:.0f} seconds",
            expected="one worker or more",
            remedy="Start some: `dask worker tcp://HOST:PORT --nthreads 1`.",
        ) from None
    return client.get_executor(pure=False)


def _local(distributed: Any, count: int) -> Any:
    """Return so many processes that share this machine's cores."""
    config: Any = jax.config
    env = {
        "JAX_NUM_CPU_DEVICES": str(max(1, cores() // count)),
        "JAX_COMPILATION_CACHE_DIR": config.jax_compilation_cache_dir or "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(SHORTEST),
    }
    env = {**{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}, **env}
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address=None,
        env={name: value for name, value in env.items() if value},
        silence_logs=logging.CRITICAL,
    )


def _slurm(jobs: int) -> Any:
    """Return a cluster of Slurm's jobs, as ``jobqueue.slurm`` of Dask's configuration has them."""
    with extras_named():
        jobqueue = importlib.import_module("dask_jobqueue")
    try:
        workers = jobqueue.SLURMCluster()
    except (ValueError, TypeError) as error:
        raise InputError(
            "--cluster slurm",
            got=" ".join(str(error).split()),
            expected="cores and memory of a job in Dask's configuration (jobqueue.slurm)",
            remedy="Write them into ~/.config/dask/jobqueue.yaml.",
        ) from None
    if refusal := _refusal(workers.job_script()):
        workers.close()
        raise InputError(
            "--cluster slurm",
            got=refusal,
            expected="a Slurm that takes the job of Dask's configuration (jobqueue.slurm)",
            remedy="Run it where `sinfo` answers, or mend ~/.config/dask/jobqueue.yaml.",
        )
    workers.scale(jobs=jobs)
    return workers


def _refusal(script: str) -> str:
    """Return why Slurm wouldn't take a job, nothing if it would: Dask goes on asking for ever."""
    command = ["sbatch", "--test-only"]
    try:
        asked = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"no sbatch here ({error.strerror})"
    return " ".join(asked.stderr.split()) if asked.returncode else ""
