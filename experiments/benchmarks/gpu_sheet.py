"""The rows of `make gpu`: what was measured, what was left out and why, and the seconds left."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
from timing import in_turn

from jax_backprop.storage import write_atomic

SCRIPT = Path(__file__).with_name("gpu.py")
CHILD_SECONDS = 150.0


class Sheet:
    """What one run of the script has found so far.

    Args:
      budget: seconds after which nothing new is begun.
      small: sizes for a smoke test.
      mnist: a folder with MNIST's four original files, or None.
    """

    def __init__(self, budget: float, *, small: bool, mnist: Path | None = None) -> None:
        self.small, self.mnist = small, mnist
        self.rows: list[dict[str, Any]] = []
        self.skipped: list[dict[str, str]] = []
        self.failed: list[dict[str, str]] = []
        self.section = ""
        self._end = time.perf_counter() + budget

    def add(self, name: str, value: Any, unit: str, **more: Any) -> None:
        """Note one measurement, and print it."""
        found = {"section": self.section, "name": name, "value": value, "unit": unit, **more}
        self.rows.append(found)
        print(json.dumps(found), flush=True)

    def skip(self, what: str, why: str) -> None:
        """Note what isn't measured."""
        self.skipped.append({"section": self.section, "what": what, "why": why})
        print(f"{self.section}: {what} skipped: {why}", flush=True)

    def fail(self, why: str) -> None:
        """Note that the section broke off."""
        self.failed.append({"section": self.section, "why": why})

    def left(self) -> float:
        """Return the seconds of the budget that are left."""
        return self._end - time.perf_counter()

    def spent(self, what: str) -> bool:
        """Return whether the budget is spent, and note that this is why something is left out."""
        if self.left() > 0:
            return False
        self.skip(what, "the budget is spent")
        return True

    def child(self, section: str, **environment: str) -> list[dict[str, Any]]:
        """Return the rows of a section that runs in a process of its own.

        Raises RuntimeError with the process's last words if it fails.
        """
        seconds = max(1.0, min(CHILD_SECONDS, self.left()))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "rows.json"
            command = [sys.executable, str(SCRIPT), "--child", "--sections", section]
            command += ["--out", str(out), "--budget", str(seconds)]
            command += ["--small"] if self.small else []
            done = subprocess.run(
                command,
                env={**os.environ, **environment},
                timeout=seconds + 30,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(
                    f"{section} {environment}: {(done.stderr or done.stdout)[-400:]}"
                )
            return json.loads(out.read_text())["rows"]

    def take_over(self, out: Path, sections: Collection[str]) -> None:
        """Keep what a file has of other sections, found on this card with these versions."""
        if not out.exists():
            return
        found = json.loads(out.read_text())
        if card_and_versions().items() <= found.items():
            for kind in ("rows", "skipped", "failed"):
                kept = [each for each in found[kind] if each["section"] not in sections]
                getattr(self, kind).extend(kept)

    def write(self, out: Path) -> None:
        """Write what there is so far."""
        content = {
            **card_and_versions(),
            "rows": self.rows,
            "skipped": self.skipped,
            "failed": self.failed,
        }
        write_atomic(out, json.dumps(content, indent=1) + "\n")


def card_and_versions() -> dict[str, Any]:
    """Return the card's name, the host's cores and the versions."""
    versions = {"python": platform.python_version()}
    for name in ("jax", "jaxlib", "numpy", "optax", "torch"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    if on_gpu():
        with contextlib.suppress(OSError):
            told = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False)
            for name, pattern in (("driver", "Driver"), ("cuda", "CUDA")):
                found = re.search(rf"{pattern} Version: ([\d.]+)", told.stdout)
                versions |= {name: found[1]} if found else {}
    card = jax.devices()[0].device_kind if on_gpu() else "none: a CPU"
    return {"card": card, "host_cores": os.cpu_count(), "versions": versions}


def on_gpu() -> bool:
    """Return whether JAX computes on a GPU."""
    try:
        return jax.default_backend() == "gpu"
    except RuntimeError:  # a platform is asked for that isn't there
        return False


def least(run: Callable[[], Any], repeats: int = 5) -> float:
    """Return the least seconds of some calls, after one to warm up."""
    return in_turn({"": run}, repeats)[""].least


def first_call(run: Callable[[], Any]) -> float:
    """Return the seconds of a call that compiles."""
    started = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - started
