"""The house rules of imports, held by reading the source."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jax_backprop"
# A file imports only from rows above its own, or from its own folder.
ROWS = [
    ("errors",),
    ("types", "settings", "storage"),
    ("study_file",),
    ("parsing", "activations", "losses", "blocks", "lanes"),
    ("network",),
    ("backprop",),
    ("curvature",),
    ("gradcheck",),
    ("derivation", "data"),
    ("schedules", "optimizers"),
    ("training",),
    ("sweep",),
    ("study",),
    ("report",),
    ("cli",),
]
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
AUTODIFF = {
    "grad",
    "value_and_grad",
    "jvp",
    "vjp",
    "linearize",
    "linear_transpose",
    "jacfwd",
    "jacrev",
    "hessian",
}
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_"
)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    rooms = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jax_backprop"):
            parts = (node.module or "").split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {name.name for name in node.names}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_rows(path: Path) -> None:
    own = room(path)
    below = {
        name
        for name in imported_rooms(ast.parse(path.read_text()))
        if name != own and ROW[name] >= ROW[own]
    }
    assert not below, f"{own} (row {ROW[own]}) imports {below}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_keeps_its_nevers(path: Path) -> None:
    source = path.read_text()
    own = room(path)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and own != "gradcheck":
            is_jax = isinstance(node.value, ast.Name) and node.value.id == "jax"
            assert not (is_jax and node.attr in AUTODIFF), (
                f"autodiff outside gradcheck: {node.attr}"
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", "print outside the console"
            assert node.func.id != "open" or own == "storage"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            writes = node.func.attr in {"write_text", "write_bytes", "mkdir", "unlink"}
            assert not writes or own == "storage", f"{node.func.attr} outside storage.py"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            early = own in ROW and ROW[own] < ROW["schedules"]
            assert not (early and any(name.split(".")[0] == "optax" for name in names))
            assert not any(name.split(".")[0] in {"experiments", "tests"} for name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            # What a signature and a docstring take isn't the function's length.
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 40, f"{node.name} has {length} lines"


def test_no_public_function_is_named_like_a_file() -> None:
    """A name that a folder exports would be shadowed by importing the file of that name."""
    import jax_backprop

    for init in PACKAGE.rglob("__init__.py"):
        files = {path.stem for path in init.parent.iterdir()}
        package = ".".join(init.parent.relative_to(PACKAGE.parent).parts)
        exported = set(getattr(importlib.import_module(package), "__all__", ()))
        assert not files & exported, package
    for name in jax_backprop.__all__:
        assert getattr(jax_backprop, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jax_backprop.nothing
