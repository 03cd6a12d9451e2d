"""Data stay data: on a terminal, in a spreadsheet, in a page."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table
from test_cli import call

from jax_backprop.cli import console
from jax_backprop.errors import printable
from jax_backprop.marking.folder import Mark
from jax_backprop.marking.problem import Problem
from jax_backprop.report.drawing import draw
from jax_backprop.report.embedded import script_json, stored
from jax_backprop.report.policy import content_security_policy

NAMES = ['=HYPERLINK("http://evil","x")', "\x1b[31mred\x1b[0m", "a,b\n9", "[/bold]", "-1.5", "\tx"]


def test_what_a_terminal_obeys_is_shown_by_its_number() -> None:
    assert printable("a\x1b[2J\x07\x9b\u202eé\n") == "a\\x1b[2J\\x07\\x9b\\u202eé\n"
    screen = io.StringIO()
    terminal = console.Terminal(file=screen, force_terminal=True, width=80)
    table = Table("\x1b]0;title\x07")
    table.add_row("[red]\x1b[2J")
    terminal.print(table)
    terminal.print("\x1b[2J[/x]", style="bold")
    terminal.out("\x1b[2J")
    shown = screen.getvalue()
    assert "\x1b[2J" not in shown and "\x1b]0" not in shown and "\x1b[1m" in shown
    assert shown.count("\\x1b[2J") == 3 and "[red]" in shown and "[/x]" in shown
    assert isinstance(console.out, Console) and isinstance(console.out, console.Terminal)


def test_a_text_that_no_picture_can_hold_does_not_end_the_process() -> None:
    texts = ["a\x01b", "\x00", "c\ufffe", "\ud800", "d\u202e", "</text>"]
    encoding = {"y": {"field": "a", "type": "nominal"}}
    values = [{"a": text} for text in texts]
    svg = draw({"data": {"values": values}, "mark": "bar", "encoding": encoding})
    assert isinstance(svg, str) and "a\ufffdb" in svg and "&lt;/text&gt;" in svg


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model of six classes with the names above."""
    folder = tmp_path_factory.mktemp("escaping")
    inputs = np.random.default_rng(0).normal(size=(180, 2))
    names = np.array(NAMES)
    np.savez(folder / "set.npz", inputs=inputs, labels=np.arange(180) % 6, class_names=names)
    command = ("train", "--dataset", f"npz:{folder / 'set.npz'}", "--epochs", 1)
    assert call(*command, "--out", folder / "m") == 0
    return folder / "m"


def test_a_table_of_predictions_computes_nothing(model: Path, tmp_path: Path, capsys) -> None:
    assert call("data", "info", f"npz:{model.parent / 'set.npz'}") == 0
    assert "\x1b" not in capsys.readouterr().out
    features = tmp_path / "features.npy"
    np.save(features, np.random.default_rng(1).normal(size=(4_000, 2)) * 30)
    assert call("predict", model, "--inputs", features, "--out", tmp_path / "p.csv") == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 4_001 and {len(row) for row in rows} == {3}
    safe = ["'" + NAMES[0], "\\x1b[31mred\\x1b[0m", "a,b\n9", "[/bold]", "-1.5", "'\\x09x"]
    found = {row[1] for row in rows[1:]}
    assert found <= set(safe) and len(found) >= 4, found
    assert "\x1b" not in (tmp_path / "p.csv").read_text()


@pytest.mark.parametrize("name", ["'=a", "'@x"])
def test_only_what_a_spreadsheet_computes_gets_a_quote(name: str) -> None:
    from jax_backprop.errors import spreadsheet_cell as cell

    assert cell(name[1:]) == name
    assert [cell(each) for each in ("-1", "+1e3", "a=b", "")] == ["-1", "+1e3", "a=b", ""]


def test_a_page_may_run_its_own_scripts_alone() -> None:
    own = "const x = 1;"
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    policy = content_security_policy([own])
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert "script-src 'none'" in content_security_policy()
    assert not any(word in policy for word in ("http", "connect-src", "unsafe-eval"))


def test_what_a_page_embeds_ends_no_script_and_keeps_every_bit() -> None:
    hostile = "</script><script>alert(1)</script>\u2028"
    assert "<" not in script_json({hostile: hostile}) and "\u2028" not in script_json({"": hostile})
    assert json.loads(script_json({"a": hostile})) == {"a": hostile}
    values = np.random.default_rng(0).lognormal(sigma=8, size=500).astype(np.float32)
    kept = json.loads(script_json({"x": [stored(each) for each in values]}))["x"]
    np.testing.assert_array_equal(np.array(kept, np.float32), values)
    assert stored(np.float32(np.nan)) is None


def test_no_page_holds_what_a_terminal_obeys(tmp_path: Path) -> None:
    from jax_backprop.report.marks import write_mark_pages

    bad = Mark("a.py", "a", "error", 0.0, 1.0, reason="ValueError: \x1b[31m\a")
    overview = write_mark_pages([bad], Problem(), tmp_path).read_text()
    page = (tmp_path / "students" / "a.py" / "index.html").read_text()
    for text in (overview, page):
        assert "\\x1b[31m\\x07" in text and not {"\x1b", "\a"} & set(text)
    assert "<p>1 submission: 0 pass" in overview
