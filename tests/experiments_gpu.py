"""`make gpu`: its smallest sections run on a CPU, and the results that are kept have a card."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks"
sys.path.insert(0, str(FOLDER))

import gpu  # noqa: E402
from engine import tiles  # noqa: E402
from gpu_sheet import Sheet  # noqa: E402

from jax_backprop import Network, load_dataset  # noqa: E402


def test_sections_are_guarded_and_what_is_left_out_is_said(tmp_path, monkeypatch) -> None:
    def broken(sheet: Sheet) -> None:
        sheet.add("before it breaks", 1.0, "s")
        raise ValueError("broken on purpose")

    monkeypatch.setitem(gpu.SECTIONS, "ceilings", broken)
    out = tmp_path / "found.json"
    assert gpu.main(["--small", "--sections", "ceilings,mnist,machine", "--out", str(out)]) == 1
    found = json.loads(out.read_text())
    assert found["card"] == "none: a CPU" and found["versions"]["jax"]
    assert [row["name"] for row in found["rows"]] == ["before it breaks", "devices"]
    assert [row["section"] for row in found["rows"]] == ["ceilings", "machine"]
    assert [(each["section"], each["what"]) for each in found["skipped"]] == [
        ("mnist", "all of it")
    ]
    assert found["failed"] == [{"section": "ceilings", "why": "ValueError: broken on purpose"}]


def test_a_spent_budget_skips_sections(tmp_path) -> None:
    out = tmp_path / "found.json"
    assert gpu.main(["--small", "--budget", "0", "--sections", "bits", "--out", str(out)]) == 0
    (skipped,) = json.loads(out.read_text())["skipped"]
    assert skipped == {"section": "bits", "what": "all of it", "why": "the budget is spent"}


def test_sections_measured_again_replace_theirs_and_no_others(tmp_path) -> None:
    out = tmp_path / "found.json"

    def rows(*sections: str) -> list[str]:
        assert gpu.main(["--small", "--sections", ",".join(sections), "--out", str(out)]) == 0
        return [row["section"] for row in json.loads(out.read_text())["rows"]]

    assert rows("machine") == ["machine"]
    found = json.loads(out.read_text())
    found["rows"].append({"section": "map", "name": "kept", "value": 1, "unit": "s"})
    out.write_text(json.dumps(found))
    assert rows("machine") == ["map", "machine"]
    out.write_text(json.dumps({**found, "card": "another"}))
    assert rows("machine") == ["machine"]


def test_the_engines_tiles_can_be_timed() -> None:
    """What `make gpu` and `make bench` time is the engine's own call, with no evaluation."""
    network, data = Network(layer_sizes=(4, 3, 2)), load_dataset("noise:40,4,2")
    group, train = tiles(network, data, (0.1, 0.2), batch_size=8, epochs=1, width=2)
    assert group.width == 2 and train().where.shape == (1,)


def test_a_child_gives_its_rows_without_what_a_gpu_image_lacks(tmp_path) -> None:
    """The section runs in a process of its own, from a bare source tree, without charts."""
    for name in ("altair", "sklearn", "sympy", "tensorflow_datasets"):
        (tmp_path / f"{name}.py").write_text("raise ImportError(f'{__name__} is imported')\n")
    places = os.pathsep.join([str(tmp_path), str(FOLDER.parent.parent)])
    (row,) = Sheet(60.0, small=True).child("machine", PYTHONPATH=places)
    assert (row["name"], row["value"], row["unit"]) == ("devices", 1, "devices")
    (tmp_path / "optax.py").write_text("raise ImportError('optax is imported')\n")
    with pytest.raises(RuntimeError, match="optax is imported"):
        Sheet(60.0, small=True).child("machine", PYTHONPATH=places)


def test_without_a_gpu_it_is_one_line_and_exit_code_2(tmp_path, capsys) -> None:
    out = tmp_path / "found.json"
    assert gpu.main(["--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no GPU" in line and "SMALL=1" in line
    assert not out.exists()


def test_the_kept_results_name_their_card_and_every_row_is_whole() -> None:
    kept = json.loads((FOLDER / "results-gpu.json").read_text())
    assert kept["card"].startswith("NVIDIA") and kept["host_cores"] and kept["versions"]["jax"]
    rows = {(row["section"], row["name"]) for row in kept["rows"]}
    assert len(rows) == len(kept["rows"]) >= 40
    assert {section for section, _ in rows} <= set(gpu.SECTIONS)
    for row in kept["rows"]:
        assert row["unit"], row
        value = row["value"]
        assert isinstance(value, bool | str) or (math.isfinite(value) and value >= 0), row
    assert kept["failed"] == []


@pytest.mark.parametrize("wrong", ["nothing", "study_hash"])
def test_an_unknown_section_is_refused(wrong, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as found:
        gpu.main(["--small", "--sections", wrong, "--out", str(tmp_path / "x.json")])
    assert found.value.code == 2
    assert f"no section '{wrong}'" in capsys.readouterr().err
