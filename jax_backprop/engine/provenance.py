"""With what a study was run: versions, device, commit."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import jax_backprop


def provenance() -> dict[str, Any]:
    """Return with what this runs: versions, device, and the source's commit where there is one."""
    packages = ("jax", "jaxlib", "optax", "numpy", "pyarrow")
    own = {"python": platform.python_version(), "jax-backprop": jax_backprop.__version__}
    return {
        "versions": {**own, **{name: version(name) for name in packages}},
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind}",
        "machine": f"{platform.system()} {platform.machine()}, {processor()}",
        "commit": _commit(),
    }


def machine() -> dict[str, str]:
    """Return what a program's bits may differ by from machine to machine."""
    return {"processor": processor(), "xla_flags": os.environ.get("XLA_FLAGS", "")}


def processor() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _commit() -> str | None:
    """Return the source's commit, marked if it was changed since; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
