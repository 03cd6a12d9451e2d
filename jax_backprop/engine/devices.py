"""What is set before JAX computes: how many devices a process has, and where programs are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax

from jax_backprop.storage import private_folder

SHORTEST = 0.1  # seconds of a compilation that is kept


def keep_compiled_programs(shortest: float = SHORTEST) -> None:
    """Keep compiled programs in a folder, unless the user chose one.

    Only this user can read and write it: who can write to it can run code.

    Args:
      shortest: seconds of a compilation that is kept.
    """
    config: Any = jax.config
    if config.jax_compilation_cache_dir is not None:
        return
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if folder := private_folder(Path(home) / "jax-backprop" / "compiled"):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", shortest)


def use_all_cores() -> None:
    """Make every core that this process may use a JAX device, unless the user chose a number.

    To be called before jax computes; JAX_NUM_CPU_DEVICES=1 is such a choice.
    """
    keep_compiled_programs()
    config: Any = jax.config
    if config.jax_num_cpu_devices <= 0:
        jax.config.update("jax_num_cpu_devices", cores())


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)
