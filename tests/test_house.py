"""The house rules, held by reading the source: three tests, each over all files."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reading import Source

PACKAGE = Path(__file__).parent.parent / "jax_backprop"
# A file imports only from rows above its own, or from its own folder.
ROWS = [
    ("errors",),
    ("extras", "importing", "recipes"),
    ("lazy", "types", "fields", "storage", "reading"),
    ("choices", "ranges"),
    ("settings",),
    ("study_file",),
    ("parsing", "activations", "losses", "parametrization", "blocks", "lanes"),
    ("metrics",),
    ("network",),
    ("backprop",),
    ("curvature",),
    ("schedules", "optimizers", "data"),
    ("training",),
    ("referee",),
    ("derivation",),
    ("marking", "adapters"),
    ("engine",),
    ("finding",),
    ("study",),
    ("report",),
    ("cli",),
]
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
AUTODIFF = {
    "grad",
    "value_and_grad",
    "value_and_grad_from_state",
    "jvp",
    "vjp",
    "linearize",
    "linear_transpose",
    "jacfwd",
    "jacrev",
    "jacobian",
    "hessian",
    "jet",
    "ad",
    "autograd",
    "*",  # a name made at run time
}
REFEREES = {"referee", "derivation"}
# Calls that write whatever they are given; calls that write unless they are given a buffer.
WRITERS = {
    *("write_text", "write_bytes", "mkdir", "unlink", "touch", "rmdir", "rename", "symlink_to"),
    *("hardlink_to", "chmod", "tofile", "memmap", "open_memmap", "ParquetWriter", "OSFile"),
    *("FileIO", "FileHandler", "FileLock", "output_stream", "urlretrieve", "extractall"),
}
SAVERS = {
    *("save", "savez", "savez_compressed", "savetxt", "save_file", "savefig", "dump"),
    *("write_table", "write_dataset", "write_feather", "write_csv", "write_parquet", "write_json"),
    *("to_csv", "to_parquet", "to_json", "to_pickle", "to_feather", "to_excel", "to_hdf"),
}
OF_OS = {
    *("replace", "renames", "remove", "makedirs", "removedirs", "link", "symlink", "truncate"),
    *("open", "mknod", "mkfifo", "chown", "utime"),
}
OPENERS = {"open", "fdopen", "ZipFile", "TarFile", "GzipFile", "NamedTemporaryFile"}
# Bytes come back from the first; the others end in a pipe and in folders that are deleted.
ALLOWED = {
    ("*", "safetensors.numpy.save"),
    ("marking/runner.py", "os.fdopen"),
    ("marking/runner.py", "os.open"),
    ("marking/runner.py", "shutil.copytree"),
    ("marking/sandbox.py", "tempfile.TemporaryDirectory"),
}
Check = Callable[[Source], Iterator[str]]


def offences(check: Check, sources: dict[str, str]) -> list[str]:
    return [
        f"{place}: {found}" for place in sources for found in check(Source(place, sources[place]))
    ]


def in_package() -> dict[str, str]:
    return {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}


def imports_from_below(source: Source) -> Iterator[str]:
    own = ROW.get(source.room, len(ROWS))  # __init__ and __main__ lead to every room
    for line, name in source.mentions():
        package, _, rest = name.partition(".")
        room = rest.split(".")[0]
        if package == "jax_backprop" and room in ROW and room != source.room and ROW[room] >= own:
            yield f"{line}: {source.room} (row {own}) imports {room} (row {ROW[room]})"


def nevers(source: Source) -> Iterator[str]:
    yield from _autodiff(source)
    for node, name in source.calls():
        if source.place != "storage.py" and _writes(source, node, name):
            yield f"{node.lineno}: {name} writes outside storage.py"
    for line, name in source.mentions():
        root = name.split(".")[0]
        if root in {"experiments", "tests"}:
            yield f"{line}: the package imports {root}"
        if root == "optax" and ROW.get(source.room, len(ROWS)) < ROW["schedules"]:
            yield f"{line}: optax above the row of schedules"
        if name in {"print", "builtins.print", "pprint.pprint"}:
            yield f"{line}: {name} outside the console"


def _autodiff(source: Source) -> Iterator[str]:
    if source.room in REFEREES:
        return
    own = {"jax_backprop", source.room}
    roots = {name.split(".")[0] for _, name in source.imported} - own
    for line, name in source.mentions():
        first, *rest = name.split(".")
        if first in roots and AUTODIFF & set(rest):
            yield f"{line}: autodiff outside its rooms: {name}"


def _writes(source: Source, node: ast.Call, name: str) -> bool:
    if {("*", name), (source.place, name)} & ALLOWED or name.startswith("jax_backprop."):
        return False
    root, _, last = name.rpartition(".")
    named = [each.value for each in node.keywords if last[:3] != "to_" or "path" in str(each.arg)]
    given = [*node.args, *named]  # without a path, a frame's to_json returns the text
    return (
        (last in WRITERS and bool(root))
        or (last in SAVERS and bool(root and given) and not any(map(source.is_buffer, given)))
        or (last in OPENERS and not _reads(source, node, name))
        or (root == "os" and last in OF_OS)
        or (root == "shutil" and last not in {"get_terminal_size", "which", "disk_usage"})
        or (root == "tempfile" and last != "gettempdir")
        or (last == "replace" and len(node.args) == 1 and not node.keywords)  # a path's
        or name in {"sqlite3.connect", "shelve.open", "dbm.open"}
    )


def _reads(source: Source, node: ast.Call, name: str) -> bool:
    imported = name.split(".", maxsplit=1)[0] in {
        each.split(".")[0] for each in source.names.values()
    }
    place = 1 if imported or "." not in name else 0  # path.open(mode), gzip.open(path, mode)
    modes = [each.value for each in node.keywords if each.arg == "mode"] or node.args[place:][:1]
    return all(
        isinstance(mode, ast.Constant) and set(str(mode.value)) <= set("rbt") for mode in modes
    )


def too_long(source: Source) -> Iterator[str]:
    if (lines := len(source.text.splitlines())) > 300:
        yield f"{lines} lines"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # What a signature and a docstring take isn't the function's length.
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > 40:
                yield f"{node.name} has {length} lines"


def assert_each_is_seen(check: Check, planted: list[tuple[str, str]]) -> None:
    unseen = [each for each in planted if not offences(check, dict([each]))]
    assert not unseen, f"{check.__name__} is blind to {unseen}"


def assert_none_is_blamed(check: Check, innocent: list[tuple[str, str]]) -> None:
    assert not [found for each in innocent for found in offences(check, dict([each]))]


def test_imports_follow_the_rows() -> None:
    planted = [
        "from jax_backprop.cli import console",
        "from jax_backprop import cli",
        "import jax_backprop.cli.console",
        "import jax_backprop as jb\njb.cli",
        "from .. import cli",
        "from ..cli.console import say",
        "def late():\n    from jax_backprop.report.charts import chart",
        "import importlib\nimportlib.import_module('jax_backprop.cli')",
    ]
    assert_each_is_seen(imports_from_below, [("training/loop.py", text) for text in planted])
    innocent = ["from jax_backprop.types import Params", "from . import steps", "import jax"]
    assert_none_is_blamed(imports_from_below, [("training/loop.py", text) for text in innocent])
    found = offences(imports_from_below, in_package())
    assert found == []


def test_the_package_keeps_its_nevers() -> None:
    autodiff = [
        "import jax\njax.grad(f)",
        "import jax as j\nj.value_and_grad(f)",
        "from jax import value_and_grad as vg",
        "from jax import *",
        "import jax.numpy\njax.vjp(f, x)",
        "import jax\nmine = jax\nmine.jacfwd(f)",
        "from jax.experimental import jet",
        "from jax.experimental.jet import jet as series",
        "import jax.experimental.sparse as sparse\nsparse.grad(f)",
        "from jax._src.api import jvp as push",
        "from jax.interpreters import ad",
        "import jax\ngetattr(jax, 'linearize')(f, x)",
        "import jax\ngetattr(jax, 'gr' + 'ad')(f)",
        "import jax\nvars(jax)['hessian'](f)",
        "import jax\njax.__dict__['grad'](f)",
        "import importlib\nimportlib.import_module('jax').grad(f)\nimport jax",
        "import optax\noptax.value_and_grad_from_state(f)",
        "import torch\ntorch.autograd.grad(y, x)",
    ]
    files = [
        "open('x', 'w')",
        "open('x', mode='ab')",
        "open('x', how)",
        "import io\nio.open('x', 'r+')",
        "path.open('wb')",
        "import gzip\ngzip.open('x', 'wb')",
        "import zipfile\nzipfile.ZipFile('x', 'w')",
        "path.write_text('')",
        "path.write_bytes(b'')",
        "path.replace(other)",
        "path.rename(other)",
        "path.touch()",
        "import numpy as np\nnp.save('x', a)",
        "from numpy import savez as keep\nkeep('x', a=a)",
        "import numpy\nnumpy.savetxt('x', a)",
        "array.tofile('x')",
        "import numpy as np\nnp.lib.format.open_memmap('x')",
        "import pyarrow.parquet as pq\npq.write_table(table, 'x')",
        "import pyarrow as pa\nimport pyarrow.parquet\npa.parquet.ParquetWriter('x', schema)",
        "from safetensors.numpy import save_file\nsave_file(tensors, 'x')",
        "frame.to_csv('x')",
        "frame.to_json(path_or_buf='x')",
        "chart.save('x.html')",
        "import json\njson.dump(data, file)",
        "import shutil\nshutil.copy('x', 'y')",
        "from shutil import rmtree\nrmtree('x')",
        "import os\nos.replace('x', 'y')",
        "from os import remove as drop\ndrop('x')",
        "import os\nos.open('x', 1)",
        "import os\nos.fdopen(1, 'wb')",
        "import tempfile\ntempfile.mkstemp()",
        "from filelock import FileLock\nFileLock('x')",
    ]
    others = ["print('x')", "import experiments.findings", "from tests import x"]
    planted = [("training/loop.py", text) for text in [*autodiff, *files, *others]]
    early = [("losses.py", text) for text in ("import optax", "from optax import sgd")]
    assert_each_is_seen(nevers, [*planted, *early])
    innocent = [
        "from jax_backprop.backprop import value_and_grad\nvalue_and_grad(params, batch)",
        "import io\nimport numpy as np\nbuffer = io.BytesIO()\nnp.savez(buffer, a=a)",
        "import gzip\ngzip.open('x')\ngzip.open('x', 'rb')\npath.open('rb')\nopen('x')",
        "'a'.replace('a', 'b')\nstore.save()\nimport optax\noptax.trace(0.9)",
        "import os\nos.environ['x']\nfrom dataclasses import replace\nreplace(run, seed=1)",
    ]
    assert_none_is_blamed(nevers, [("training/loop.py", text) for text in innocent])
    assert_none_is_blamed(nevers, [("referee/jacobians.py", "import jax\njax.jacrev(f)")])
    found = offences(nevers, in_package())
    assert found == []


def test_files_and_functions_are_short() -> None:
    body = "    x = 1\n" * 41
    planted = ["x = 1\n" * 301, f"def f():\n{body}", f"async def f():\n{body}"]
    assert_each_is_seen(too_long, [("training/loop.py", text) for text in planted])
    short = f'def f():\n    """\n{body}    """\n    return 1\n'
    assert_none_is_blamed(too_long, [("training/loop.py", "x = 1\n" * 300), ("a.py", short)])
    found = offences(too_long, in_package())
    assert found == []


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
