"""The documents: their examples run, their links lead somewhere, no public name is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import jax_backprop

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "experiments" / "docs"
PAGES = [ROOT / "README.md", ROOT / "experiments" / "README.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}{number}")
    for page in PAGES
    for number, example in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    )
]
GENERATED = {"changelog.md", "findings.md", "reference/commands.md", "reference/study.toml"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs_and_says_something(example: str, capsys) -> None:
    if "import torch" in example:
        pytest.importorskip("torch")
    exec(compile(example, "example", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https:)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        place = page.parent / target
        inside = place.resolve().relative_to(DOCS) if place.resolve().is_relative_to(DOCS) else None
        made = inside is not None and (str(inside) in GENERATED or inside.parts[0] == "figures")
        assert made or place.exists(), f"{page.name}: {target}"
        if made and inside.parts[0] == "figures":
            assert (DOCS.parent / inside).is_file(), target


def test_every_public_name_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "api.md").read_text()
    named = re.findall(r"\.\. auto\w+:: jax_backprop\.(\w+)", text)
    assert sorted(named) == sorted(jax_backprop.__all__)


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+(?:-[a-z]+)*)[ `]", page.read_text()):
            assert re.search(rf"^{target}:.*## ", makefile, flags=re.MULTILINE), target


def test_the_readme_is_one_that_is_read() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
