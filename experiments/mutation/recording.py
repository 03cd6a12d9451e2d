"""A pytest plugin that notes, in RECORDING, which tests run each line of the package.

JAX traces a function once and keeps it, so the caches are cleared after every test: else a line
would belong to the first of its tests alone. What a shared fixture runs belongs to all its users.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

measured = coverage.Coverage(
    data_file=None, include=[str(Path.cwd() / "jax_backprop" / "*")], messages=False
)
measured.start()
users: dict[str, set[str]] = defaultdict(set)
seconds: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Give the lines that run from here on to this test."""
    measured.switch_context(item.nodeid)
    users[item.nodeid].add(item.nodeid)
    for name in getattr(item, "fixturenames", ()):
        users[f"fixture {name}"].add(item.nodeid)
    started = time.perf_counter()
    try:
        return (yield)
    finally:
        seconds[item.nodeid] = time.perf_counter() - started
        import jax

        jax.clear_caches()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request: pytest.FixtureRequest) -> Iterator[object]:
    """Give what a fixture runs to all tests that use it."""
    measured.switch_context(f"fixture {fixturedef.argname}")
    try:
        return (yield)
    finally:
        item = getattr(request, "_pyfuncitem", None)
        measured.switch_context(item.nodeid if item is not None else "")


def pytest_sessionfinish() -> None:
    """Write which tests run which line, and how long each takes."""
    measured.stop()
    data = measured.get_data()
    lines: dict[str, dict[int, list[str]]] = {}
    for file in data.measured_files():
        place = os.path.relpath(file)
        lines[place] = {
            line: sorted(set().union(*(users.get(context, set()) for context in contexts)))
            for line, contexts in data.contexts_by_lineno(file).items()
        }
    Path(os.environ["RECORDING"]).write_text(json.dumps({"lines": lines, "seconds": seconds}))
