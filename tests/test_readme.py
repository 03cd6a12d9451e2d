"""The README: its Python example runs, its commands and files exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(capsys) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    exec(compile(example, "README.md", "exec"), {})
    right, accuracy = capsys.readouterr().out.splitlines()
    assert right == "gradient right: True"
    assert float(accuracy.removeprefix("accuracy: ")) > 0.95


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z]+)[ `]", README)) | {"setup", "lint", "test"}
    for target in named:
        assert re.search(rf"^{target}:.*## ", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize(
    "name", re.findall(r"\]\((experiments/[^)]+)\)|`(experiments/[a-z_]+\.toml)`", README)
)
def test_every_file_in_the_readme_exists(name: tuple[str, str]) -> None:
    assert (ROOT / (name[0] or name[1])).is_file()


def test_every_figure_of_the_findings_exists() -> None:
    findings = (ROOT / "experiments" / "README.md").read_text()
    figures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", findings)
    assert len(figures) >= 5
    for name in figures:
        assert (ROOT / "experiments" / name).read_bytes()[:4] in (b"<svg", b"\x89PNG")
