"""The docstrings' examples: each runs and gives what it says, and every public name has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import jax_backprop
from jax_backprop import curvature, data

PACKAGE = Path(jax_backprop.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def docstrings() -> Iterator[tuple[str, str, int, str]]:
    """Yield the module, name, first line and text of each docstring that has an example."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("jax_backprop", *path.relative_to(PACKAGE).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node, clean=False) or ""
                if ">>>" in text:
                    name = getattr(node, "name", "")
                    yield module.removesuffix(".__init__"), name, node.body[0].lineno, text


@pytest.mark.parametrize(
    ("module", "line", "text"),
    [
        pytest.param(module, line, text, id=f"{module.removeprefix('jax_backprop.')}.{name}")
        for module, name, line, text in docstrings()
    ],
)
def test_an_example_gives_what_it_says(module: str, line: int, text: str) -> None:
    """Read from the source: a checker of types hides functions from doctest's own search."""
    for library in ("torch", "equinox", "flax"):
        if f"import {library}" in text or f"from {library}" in text:
            pytest.importorskip(library)
    names = vars(importlib.import_module(module)).copy()
    found = doctest.DocTestParser().get_doctest(text, names, module, module, line)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(found, out=said.append)
    assert not said, "".join(said)


def test_every_public_name_has_an_example() -> None:
    """A type without a text of its own, such as ``Params``, has none."""
    public = [getattr(jax_backprop, name) for name in jax_backprop.__all__ if name != "Params"]
    for room in (curvature, data):
        public += [each for name in room.__all__ if inspect.isfunction(each := getattr(room, name))]
    assert [each for each in public if ">>>" not in (inspect.getdoc(each) or "")] == []
