"""``new``: the study file that somebody starts from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from test_cli import call

from jax_backprop.parsing import read_study
from jax_backprop.settings import Run
from jax_backprop.study_file import Study


def test_a_study_file_to_start_from(tmp_path: Path, capsys) -> None:
    assert call("new", tmp_path / "mine") == 0
    path = tmp_path / "mine" / "study.toml"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    study = read_study(path)
    assert study.title and set(study.axes) == {"learning_rate", "schedule", "seed"}
    assert call("new", tmp_path / "mine") == 2
    assert "which exists" in capsys.readouterr().err


def test_it_names_every_field_with_its_default() -> None:
    text = (Path(__file__).parents[1] / "jax_backprop" / "study.toml").read_text()
    head = text.partition("[axes]")[0]
    told = dict(re.findall(r"^# (\w+ = [^#\n]+?) *(#.*)?$", head, re.MULTILINE))
    hidden = tomllib.loads("\n".join(told))
    fields = {**hidden, **tomllib.loads(text), **tomllib.loads(text)["axes"]}
    unsaid = {"learning_rate", "seed", "tile_width"}  # the first two are axes, the last is measured
    assert set(Study.model_fields) - unsaid - {"axes", "include", "exclude"} <= set(fields)
    defaults = {
        name: each for name, each in Run().model_dump(mode="json").items() if each is not None
    }
    for name in set(hidden) & set(defaults):
        plain = defaults[name]
        given = plain["name"] if isinstance(plain, dict) else plain
        assert hidden[name] == given, name
