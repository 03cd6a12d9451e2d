"""All mutants of the package by cosmic-ray's operators, and a sample of them for each room."""

from __future__ import annotations

import ast
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

HEART = ("activations", "losses", "network", "backprop", "blocks", "lanes")
# On numbers and arrays these end at once in a TypeError: cheap kills that would flatter the tests.
CRUDE = {"RShift", "LShift", "BitOr", "BitAnd", "BitXor", "Is", "IsNot", "In", "NotIn", "Nothing"}


class Mutant(NamedTuple):
    """One change of one place of a file."""

    room: str
    file: str
    line: int
    operator: str
    occurrence: int
    before: str
    after: str
    key: str  # of the file as changed: the same change of the same text has the same key


def room_of(path: Path) -> str:
    """Return the room of a file, given below the package: ``training/loop.py`` is training's."""
    if len(path.parts) > 1:
        return path.parts[0]
    return "heart" if path.stem in HEART else "floor"


def sample(package: Path, rooms: list[str], count: int, seed: int) -> list[Mutant]:
    """Return ``count`` mutants, as many of each room, drawn place by place by a seed.

    A place is drawn first, then one of its changes, so that an operator that can be replaced in
    eleven ways counts no more than a number that has two.
    """
    sources: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        sources[room_of(path.relative_to(package))].append(path)
    chosen = rooms or sorted(sources)
    share = -(-count // len(chosen))
    return [
        mutant for room in chosen for mutant in _draw(package, room, sources[room], share, seed)
    ]


def _draw(package: Path, room: str, paths: list[Path], share: int, seed: int) -> list[Mutant]:
    places = [place for path in paths for place in _places(path).items()]
    generator = random.Random(f"{seed} {room}")
    generator.shuffle(places)
    found: list[Mutant] = []
    for (path, *_), changes in places:
        generator.shuffle(changes)
        mutants = (_mutant(package, room, path, *change) for change in changes)
        if mutant := next(filter(None, mutants), None):
            found.append(mutant)
        if len(found) == share:
            break
    return found


def _places(path: Path) -> dict[tuple, list[tuple[str, int, int]]]:
    """Map each place of a file to its changes: operator, occurrence, line."""
    nodes = list(ast_nodes(get_ast(path.read_text())))
    places: dict[tuple, list[tuple[str, int, int]]] = defaultdict(list)
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if operator.arguments() or _is_crude(name.rpartition("/")[2]):
            continue
        made = operator()
        positions = (each for node in nodes for each in made.mutation_positions(node))
        for occurrence, (start, end) in enumerate(positions):
            places[path, start, end].append((name, occurrence, start[0]))
    return places


def _is_crude(operator: str) -> bool:
    _, *parts = operator.split("_")
    return len(parts) == 2 and parts[1] in CRUDE and parts[0] not in CRUDE


def _mutant(
    package: Path, room: str, path: Path, operator: str, occurrence: int, line: int
) -> Mutant | None:
    """Return the mutant, or None where nothing but an annotation or a text changes."""
    before = path.read_text()
    after = mutate_code(before, get_operator(operator)(), occurrence)
    try:
        if after is None or _meaning(before) == _meaning(after):
            return None
    except SyntaxError:
        return None
    old, new = next(_changed_lines(before, after))
    return Mutant(
        room,
        str(path.relative_to(package.parent)),
        line,
        operator.rpartition("/")[2],
        occurrence,
        old,
        new,
        hashlib.sha256(after.encode()).hexdigest()[:16],
    )


def _meaning(text: str) -> str:
    """Return the program without annotations, texts, `*` or `/` of a signature, TYPE_CHECKING."""
    return ast.dump(_Bare().visit(ast.parse(text)))


class _Bare(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        names = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        values = [*node.defaults, *(value for value in node.kw_defaults if value is not None)]
        merged = ast.arguments([], names, node.vararg, [], [], node.kwarg, values)
        return self.generic_visit(merged)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(value="") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        return ast.Constant(value="")

    def visit_If(self, node: ast.If) -> ast.AST:
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return ast.Pass() if is_for_types else self.generic_visit(node)


def _changed_lines(before: str, after: str) -> Iterator[tuple[str, str]]:
    old, new = before.splitlines(), after.splitlines()
    first = next(n for n, (a, b) in enumerate(zip(old, [*new, ""], strict=False)) if a != b)
    yield old[first].strip(), new[first].strip() if len(old) == len(new) else "(removed)"
