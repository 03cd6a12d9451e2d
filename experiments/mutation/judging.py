"""Judge a mutant in a copy of the tree: the tests of its own room that run the changed line."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec
from mutants import Mutant, room_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "results", "__pycache__")
PYTEST = f"{shlex.quote(sys.executable)} -m pytest -n 0 -x -q -p no:cacheprovider --tb=line -rf"

# The tests that a room is judged by, without test_ and .py.
OWN = {
    "heart": ("network", "losses", "check"),
    "floor": ("storage", "faults", "schedules", "grid", "cli"),
    "curvature": ("curvature",),
    "data": ("data", "files", "preparation", "sources", "scaling", "tfds_sets", "cli_data"),
    "training": ("training", "rules", "scaling", "schedules"),
    "referee": ("network_gradient", "referee", "general_bugs", "mutants", "naming", "vjp"),
    "derivation": ("derivation", "errata", "derive"),
    "marking": ("steps", "submissions"),
    "engine": ("sweep", "grid", "store", "tiles", "memory", "faults", "progress"),
    "study": ("study", "statistics", "tuned", "widening", "edge", "boundaries"),
    "finding": ("finders", "finders_search", "finders_trials"),
    "report": ("charts", "report_tables", "study", "derive", "cli_findings"),
    "cli": ("cli", "cli_data", "cli_findings", "cli_show", "cli_sweep", "check", "progress"),
    "every": ("house", "skips", "docs"),  # no room's own
}


class Room(NamedTuple):
    """A room's own tests: which run a line, how long each takes."""

    lines: dict[str, dict[str, list[str]]]
    seconds: dict[str, float]


class Verdict(NamedTuple):
    """What became of a mutant: killed, timed out or survived; by which test; in how long."""

    outcome: str
    by: str
    seconds: float


def copy_tree(compiled: Path) -> Path:
    """Copy the project as it stands to a place of its own, and go there."""
    place = Path(tempfile.mkdtemp(prefix="mutation-")) / "tree"
    shutil.copytree(ROOT, place, ignore=LEFT_OUT)
    for name in (".gitignore", ".ci"):
        source = ROOT / name
        shutil.copytree(source, place / name) if source.is_dir() else shutil.copy(source, place)
    os.chdir(place)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (place, HERE)))
    os.environ["JAX_BACKPROP_TESTS_COMPILED"] = str(compiled)
    return place


def own_tests(room: str) -> list[str]:
    """Return the files of a room's own tests: OWN's, and what OWN doesn't know but imports it."""
    known = {name for names in OWN.values() for name in names}
    found = []
    for path in sorted(Path("tests").glob("test_*.py")):
        name = path.stem.removeprefix("test_")
        if name in OWN[room] or (name not in known and room in _rooms_imported(path)):
            found.append(str(path))
    return found


def record(room: str) -> Room:
    """Run a room's own tests once, unchanged: they have to pass; note who runs which line."""
    tests = own_tests(room)
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        done = subprocess.run(
            [*shlex.split(PYTEST), "-p", "recording", *tests],
            env=os.environ | {"RECORDING": file.name},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"error: {room}'s own tests fail unchanged:\n{done.stdout[-2000:]}")
        return Room(**json.loads(Path(file.name).read_text()))


def judge(mutant: Mutant, room: Room) -> Verdict:
    """Run the tests of the changed line, the quickest first; if all pass, all of the room's."""
    started = time.perf_counter()
    of_line = _tests_of(mutant, room)
    found, by = _run(mutant, of_line, room)
    if found == "survived" and len(of_line) < len(room.seconds):
        rest = [test for test in room.seconds if test not in set(of_line)]
        found, by = _run(mutant, rest, room)
    return Verdict(found, by, round(time.perf_counter() - started, 1))


def _rooms_imported(test: Path) -> set[str]:
    modules = [
        [*(node.module or "").split("."), *(name.name for name in node.names)]
        for node in ast.walk(ast.parse(test.read_text()))
        if isinstance(node, ast.ImportFrom)
    ]
    names = {parts[1] for parts in modules if parts[0] == "jax_backprop" and len(parts) > 1}
    package = Path("jax_backprop")
    return {
        room_of(Path(name, "x.py") if (package / name).is_dir() else Path(f"{name}.py"))
        for name in names
    }


def _tests_of(mutant: Mutant, room: Room) -> list[str]:
    """Return the tests that run the statement; every test, where it runs as it is imported."""
    first, last, is_inside = _statement(Path(mutant.file).read_text(), mutant.line)
    lines = room.lines.get(mutant.file, {})
    found = {test for line in range(first, last + 1) for test in lines.get(str(line), [])}
    return list(found) if found and is_inside else list(room.seconds)


def _statement(text: str, line: int) -> tuple[int, int, bool]:
    """Return first and last line of a line's innermost statement, and if a function holds it."""
    holders = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    if not holders:
        return line, line, False
    inner = max(holders, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    bodies = [node.body[0].lineno for node in holders if isinstance(node, ast.FunctionDef)]
    head = getattr(inner, "body", None)  # of a loop or a condition, the line that begins it
    last = max(line, head[0].lineno - 1) if head else inner.end_lineno or line
    return inner.lineno, last, any(line >= first for first in bodies)


def _run(mutant: Mutant, tests: list[str], room: Room) -> tuple[str, str]:
    if not tests:
        return "survived", ""
    ordered = sorted(tests, key=lambda test: room.seconds[test])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(ordered))
        file.flush()
        change = MutationSpec(
            module_path=Path(mutant.file),
            operator_name=f"core/{mutant.operator}",
            occurrence=mutant.occurrence,
            start_pos=(mutant.line, 0),
            end_pos=(mutant.line, 1),
            operator_args={},
            definition_name=None,
        )
        limit = 60 + 4 * sum(room.seconds[test] for test in ordered)
        result = mutate_and_test([change], f"{PYTEST} @{file.name}", min(limit, 900))
    output = result.output or ""
    if output == "timeout":
        return "timed out", ""
    if result.test_outcome is None or result.test_outcome.value == "incompetent":
        raise SystemExit(f"error: {mutant.file}:{mutant.line} can't be judged: {output[-2000:]}")
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    by = failed[0].split(" - ")[0].partition(" ")[2] if failed else output[-100:].strip()
    return result.test_outcome.value, by if result.test_outcome.value == "killed" else ""
