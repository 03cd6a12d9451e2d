"""What the core does without, and how it is said."""

from __future__ import annotations

import importlib
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from reading import Source

from jax_backprop.extras import EXTRAS, MissingExtraError, extras_named

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# By jax, pydantic, and the next two by tensorflow-datasets.
BROUGHT = {"scipy", "pydantic_core", "absl", "requests"}


def names(requirements: list[str]) -> set[str]:
    """Return the names of requirements, as they are compared."""
    return {each.partition(">")[0].lower().replace("_", "-") for each in requirements}


def test_every_library_is_the_cores_or_an_extras() -> None:
    extras, distributions = PROJECT["optional-dependencies"], packages_distributions()
    for extra, libraries in EXTRAS.items():
        for library in set(libraries) - {"array_record", "markupsafe"}:  # brought by others
            installed = distributions.get(library, [library.replace("_", "-")])
            assert names(installed) & names(extras[extra]), library
    known = {"jax_backprop", *BROUGHT, *(name for each in EXTRAS.values() for name in each)}
    core = names(PROJECT["dependencies"])
    for path in (ROOT / "jax_backprop").rglob("*.py"):
        source = Source(str(path.relative_to(ROOT / "jax_backprop")), path.read_text())
        imported = {name.partition(".")[0] for _, name in source.imported}
        for library in imported - sys.stdlib_module_names - known - {""}:
            assert names(distributions.get(library, [library])) & core, (source.place, library)


def test_a_missing_library_is_said_with_its_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)  # as if it weren't installed
    monkeypatch.delitem(sys.modules, "jax_backprop.report.page", raising=False)
    monkeypatch.delitem(sys.modules, "jax_backprop.report.charts", raising=False)
    report = importlib.import_module("jax_backprop.report")
    with pytest.raises(
        ImportError, match=r"no library 'altair'.*'jax-backprop\[report\]'"
    ) as found:
        _ = report.write_report
    assert isinstance(found.value, MissingExtraError)


def test_other_missing_modules_are_left_as_they_are() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"), extras_named():
        importlib.import_module("nowhere")
