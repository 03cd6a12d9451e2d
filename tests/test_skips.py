"""In CI a test that is skipped fails, unless its reason is expected."""

from __future__ import annotations

import pytest
import skips


@pytest.mark.parametrize(
    ("allowed", "outcome"),
    [
        (None, "skipped"),
        ("", "failed"),
        ("no GPU\nno network", "failed"),
        ("needs t.rch", "skipped"),
    ],
)
def test_in_ci_a_skip_fails_unless_it_is_expected(allowed, outcome: str, monkeypatch) -> None:
    monkeypatch.delenv(skips.ALLOWED, raising=False)
    if allowed is not None:
        monkeypatch.setenv(skips.ALLOWED, allowed)
    where = ("test_x.py", 3, "Skipped: needs torch")
    report = pytest.TestReport("x", ("x", 0, "x"), {}, "skipped", where, "call")
    found = skips.judged(report)
    assert found.outcome == outcome
    assert outcome == "skipped" or found.longrepr == "not to be skipped here: Skipped: needs torch"
