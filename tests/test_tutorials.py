"""The tutorials run, and say what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

TUTORIALS = Path(__file__).parent.parent / "experiments" / "tutorials"


def test_a_wrong_backward_pass_is_named_and_mended(capsys) -> None:
    runpy.run_path(str(TUTORIALS / "is_my_backward_pass_right.py"))
    said = capsys.readouterr().out
    assert "(19N)" in said and "The factor O is missing." in said
    assert "all 2 steps are right" in said
