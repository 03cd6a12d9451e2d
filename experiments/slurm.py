"""A Slurm of two nodes on this machine, where its programs are installed (see ``cluster.py``)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scancel", "squeue")
CONF = """
ClusterName=test
SlurmctldHost=HOST(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmctldPort=PORT0
StateSaveLocation=ROOT/state
SlurmdSpoolDir=ROOT/%n
SlurmctldPidFile=ROOT/slurmctld.pid
SlurmdPidFile=ROOT/%n.pid
SlurmctldLogFile=ROOT/slurmctld.log
SlurmdLogFile=ROOT/%n.log
NodeName=a NodeHostname=HOST NodeAddr=127.0.0.1 Port=PORT1 CPUs=2
NodeName=b NodeHostname=HOST NodeAddr=127.0.0.1 Port=PORT2 CPUs=2
PartitionName=all Nodes=a,b Default=YES MaxTime=INFINITE State=UP
"""
JOBQUEUE = """
jobqueue:
  slurm:
    cores: 1
    processes: 1
    memory: 2GB
    interface: lo
    queue: all
    walltime: "01:00:00"
    job-directives-skip: ["--mem"]
    local-directory: ROOT
    log-directory: ROOT
    job-script-prologue: ["export JAX_NUM_CPU_DEVICES=1"]
"""


@contextlib.contextmanager
def nodes(root: Path, ports: Sequence[int]) -> Iterator[dict[str, str]]:
    """Hold a Slurm of two nodes on this machine; yield the environment of those who use it."""
    (root / "state").mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    text = CONF.replace("ROOT", str(root)).replace("HOST", host)
    for number, port in enumerate(ports):
        text = text.replace(f"PORT{number}", str(port))
    (root / "slurm.conf").write_text(text)
    (root / "jobqueue.yaml").write_text(JOBQUEUE.replace("ROOT", str(root)))
    changed = {"SLURM_CONF": str(root / "slurm.conf"), "DASK_CONFIG": str(root)}
    environment = {**os.environ, **changed}
    with contextlib.ExitStack() as held:
        for command in (["slurmctld"], ["slurmd", "-N", "a"], ["slurmd", "-N", "b"]):
            (root / command[-1]).mkdir(exist_ok=True)
            daemon = subprocess.Popen(
                [*command, "-D"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            held.callback(daemon.wait)
            held.callback(daemon.terminate)
        yield environment


def missing() -> str:
    """Return why there is no Slurm here; nothing if there is."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here"
    return "its daemons need root here" if os.geteuid() else ""


def running(environment: dict[str, str]) -> list[str]:
    """Return the jobs that run."""
    command = ["squeue", "--noheader", "--states=running", "--format=%i"]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return said.stdout.split()


def cancel_one(environment: dict[str, str]) -> None:
    """Cancel a job, once one runs."""
    while not (jobs := running(environment)):
        time.sleep(0.5)
    subprocess.run(["scancel", jobs[0]], env=environment, check=True)
    print(f"Slurm: job {jobs[0]} of {len(jobs)} cancelled")
