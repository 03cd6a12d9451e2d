"""The processes of one run of the tests: what each loads, and what they share."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version

import pytest

pytest_plugins = ["skips"]

# Most of a test's time is the compiler's: `make test` has it hurry, but where bits are compared.
if os.environ.get("JAX_BACKPROP_TESTS") == "quick":
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    if version("jaxlib").startswith("0.10."):  # another one might not know the flags
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        )

os.environ.pop("COLUMNS", None)  # which pytest-xdist sets: what is written has the width of a file

# Compiled programs are shared by the processes of a run, and kept for the next one.
COMPILED = "JAX_BACKPROP_TESTS_COMPILED"
MOST_KEPT = 2**29  # bytes; one run's are 50 MB


def pytest_configure(config: pytest.Config) -> None:
    """Load what the tests share, but not where they are only handed out to other processes."""
    if COMPILED not in os.environ:
        folder = config.rootpath / ".pytest_cache" / "compiled"
        if folder.is_dir() and sum(path.stat().st_size for path in folder.iterdir()) > MOST_KEPT:
            shutil.rmtree(folder)  # of code that has changed since, most of them
        os.environ[COMPILED] = str(folder)
    runs_tests = hasattr(config, "workerinput") or config.getoption("dist", "no") == "no"
    if runs_tests or config.option.collectonly:
        for plugin in ("shared", "blobs_study"):
            config.pluginmanager.import_plugin(plugin)


# A file is one process's: the longest begin first, so that none is left alone in the end.
LONGEST = (
    "sweep rules curvature derivation cli_show network_gradient tasks cli cli_sweep cli_findings "
    "training network"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and keep the order of all others."""
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST.split())}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
