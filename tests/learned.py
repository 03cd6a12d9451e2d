"""The page on the learning rate of a small study, and what lies behind it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_cli import call

from jax_backprop.study import Summary, summarize


class Learned(NamedTuple):
    """The page, what its script reads, and the study."""

    page: Path
    data: dict[str, Any]
    summary: Summary
    study: Path
    map: Path


MAP = """
title = "a map"
question = "which pairs?"
dataset = "noise:8,4,2"
hidden_sizes = [3]
epochs = 4
curves = "none"
[axes]
"layer_factors.0" = { low = 0.1, high = 1e3, count = 32 }
"layer_factors.1" = { low = 0.01, high = 10, count = 33 }
"""


@pytest.fixture(scope="session")
def learned(blobs_study: Path, tmp_path_factory) -> Learned:
    """Written by the command, of results that are there."""
    place = tmp_path_factory.mktemp("learn")
    (place / "map.toml").write_text(MAP)
    assert call("sweep", place / "map.toml", "--out", place / "map") == 0
    assert call("learn", place / "page", "--study", blobs_study, "--map", place / "map") == 0
    page = place / "page" / "learn.html"
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return Learned(page, json.loads(found[1]), summarize(blobs_study), blobs_study, place / "map")
