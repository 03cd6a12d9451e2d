"""In CI a test that was skipped is a test that failed, unless its reason is expected there."""

from __future__ import annotations

import os
import re

import pytest

# Patterns of reasons, a line each; unset, anything may be skipped.
ALLOWED = "JAX_BACKPROP_ALLOWED_SKIPS"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Judge a test's skip."""
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Judge the skip of a whole file, such as by ``pytest.importorskip``."""
    return judged((yield))


def judged(report):
    """Return a report, as failed if it is of a skip that CI doesn't expect."""
    allowed = os.environ.get(ALLOWED)
    if allowed is None or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(re.search(pattern, reason) for pattern in allowed.splitlines() if pattern):
        report.outcome, report.longrepr = "failed", f"not to be skipped here: {reason}"
    return report
