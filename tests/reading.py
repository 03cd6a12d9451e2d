"""Read source text: what each name in it stands for, whatever the spelling of its import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

IMPORTERS = {"importlib.import_module", "__import__"}
BUFFERS = {"BytesIO", "StringIO", "BufferOutputStream"}


class Source:
    """A file of the package as a tree, with its names resolved to dotted ones.

    ``place`` is its path below the package, as ``training/loop.py``; ``text`` what it holds.
    """

    def __init__(self, place: str, text: str, *, package: str = "jax_backprop"):
        self.place, self.text, self.tree = place, text, ast.parse(text)
        self.room = place.split("/", maxsplit=1)[0].removesuffix(".py")
        self._home = [package, *place.split("/")[:-1]]
        self.names: dict[str, str] = {}
        self.imported: list[tuple[int, str]] = []
        self._read_imports()
        self._read_aliases()

    def dotted(self, node: ast.AST) -> str:
        """Return what an expression names, as ``jax.numpy.dot``; an unknown object is ``?``."""
        match node:
            case ast.Name():
                return self.names.get(node.id, node.id)
            case ast.Attribute():
                return f"{self.dotted(node.value)}.{node.attr}"
            case ast.Call(func=called, args=[ast.Constant(value=str(module)), *_]):
                return module if self.dotted(called) in IMPORTERS else self._looked_up(node)
            case ast.Call():
                return self._looked_up(node)
            case ast.Subscript(slice=ast.Constant(value=str(name))):
                return f"{self.dotted(node.value).removesuffix('.__dict__')}.{name}"
        return "?"

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield every call and the dotted name of what it calls."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func)

    def mentions(self) -> Iterator[tuple[int, str]]:
        """Yield line and dotted name of all that is imported, named or looked up."""
        yield from self.imported
        kinds = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)
        for node in ast.walk(self.tree):
            if isinstance(node, kinds) and (name := self.dotted(node)) != "?":
                yield node.lineno, name

    def is_buffer(self, node: ast.AST) -> bool:
        """Whether an expression is a name that this file gives to a buffer in memory."""
        return self.dotted(node).split(".")[-1] in BUFFERS

    def _looked_up(self, node: ast.Call) -> str:
        match node:
            case ast.Call(func=ast.Name("vars"), args=[owner]):
                return self.dotted(owner)
            case ast.Call(func=ast.Name("getattr"), args=[owner, name, *_]):
                known = name.value if isinstance(name, ast.Constant) else "*"
                return f"{self.dotted(owner)}.{known}"
            case ast.Call(func=called, args=[]) if self.dotted(called).split(".")[-1] in BUFFERS:
                return self.dotted(called)
        return "?"

    def _read_imports(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    local = each.asname or each.name.split(".")[0]
                    self.names[local] = each.name if each.asname else local
                    self.imported.append((node.lineno, each.name))
            if isinstance(node, ast.ImportFrom):
                above = self._home[: len(self._home) - node.level + 1] if node.level else []
                module = ".".join([*above, *([node.module] if node.module else [])])
                for each in node.names:
                    self.names[each.asname or each.name] = f"{module}.{each.name}"
                    self.imported.append((node.lineno, f"{module}.{each.name}"))

    def _read_aliases(self) -> None:
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.AST() as value)
                    | ast.NamedExpr(target=ast.Name(id=name), value=value)
                    | ast.withitem(context_expr=value, optional_vars=ast.Name(id=name))
                ):
                    stands_for = self.dotted(value)
                    root = stands_for.split(".")[0]
                    known = root in {each.split(".")[0] for each in self.names.values()}
                    if (known and root != name) or stands_for in BUFFERS:
                        self.names.setdefault(name, stands_for)
