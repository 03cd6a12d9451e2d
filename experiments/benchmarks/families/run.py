"""Families of right and wrong gradients before this referee and its peers, in steps that resume.

Each family's verdicts are kept case by case in FAMILY.json; what is there isn't judged again,
unless the referee or the cases have changed. Writes families.md, of all that are judged so far.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import architectures
import formulas
import jax
import kinks
from cases import Case
from checkers import judge

import jax_backprop.referee
from jax_backprop.cli import console
from jax_backprop.storage import write_atomic

FAMILIES = {
    "ties and kinks": kinks.cases,
    "locked dtypes": formulas.kernels,
    "mixed precision": formulas.kernels,
    "second order": formulas.second_order,
    "architectures": architectures.cases,
}
Rows = dict[str, dict[str, Any]]  # by the case's name
REFEREE = Path(jax_backprop.referee.__file__).parent


def main() -> None:
    """Judge what isn't judged yet; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--families", nargs="*", default=[], help="only these")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds of this step")
    options = parser.parse_args()
    deadline, found = time.monotonic() + options.budget, {}
    for family, make in FAMILIES.items():
        chosen = not options.families or family in options.families
        cases = [case for case in make() if case.family == family] if chosen else []
        found[family] = _step(cases, options.out / f"{family.replace(' ', '_')}.json", deadline)
    text = table(found)
    write_atomic(options.out / "families.md", text)
    print(text)


class Judged(NamedTuple):
    """A family's verdicts so far, and how many cases it has: 0 where nothing was judged yet."""

    rows: Rows
    cases: int


def _step(cases: list[Case], file: Path, deadline: float) -> Judged:
    """Judge a family's cases that aren't in its file yet, and return all that are."""
    code, rows, count = _code(), {}, len(cases)
    if file.exists():
        held = json.loads(file.read_text())
        if held["code"] == code:
            rows, count = held["rows"], held["cases"]
    with console.progress(file.stem) as advance:
        for number, case in enumerate(cases):
            if time.monotonic() > deadline:
                break
            if case.name not in rows:
                rows[case.name] = {"right": case.right, "verdicts": judge(case)}
                content = {"code": code, "cases": count, "rows": rows}
                write_atomic(file, json.dumps(content, indent=0) + "\n")
            advance(number + 1, case.name, len(cases))
    return Judged(rows, count)


def _code() -> str:
    """Return what the verdicts depend on: the referee's files, the cases', and JAX's version."""
    digest = hashlib.sha256(jax.__version__.encode())
    folders = (
        REFEREE,
        Path(__file__).parent,
        Path(architectures.__file__).parent.parent / "naming",
    )
    for file in sorted(chain.from_iterable(folder.rglob("*.py") for folder in folders)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def table(found: dict[str, Judged]) -> str:
    """Return wrong accepted and right refused, a row a family and checker."""
    lines = [
        "| family | checker | wrong accepted | right refused | undecided: wrong, right |",
        "|---|---|---:|---:|---:|",
    ]
    missed = []
    for family, (rows, count) in found.items():
        checkers = dict.fromkeys(name for row in rows.values() for name in row["verdicts"])
        for checker in checkers:
            wrong = [r["verdicts"][checker] for r in _asked(rows, checker) if not r["right"]]
            right = [r["verdicts"][checker] for r in _asked(rows, checker) if r["right"]]
            undecided = f"{wrong.count('undecided')}, {right.count('undecided')}"
            lines.append(
                f"| {family} | {checker} | {wrong.count('pass')} of {len(wrong)} | "
                f"{right.count('fail')} of {len(right)} | {undecided} |"
            )
        missed += [f"- {family}: {name}: {why}" for name, why in _ours(rows)]
        if len(rows) < count:
            lines.append(f"| {family} | | {len(rows)} of {count} judged so far | | |")
    told = ["", "Not decided rightly by jax_backprop:", *missed] if missed else []
    return "\n".join([*lines, *told]) + "\n"


def _asked(rows: Rows, checker: str) -> Iterable[dict[str, Any]]:
    return (row for row in rows.values() if checker in row["verdicts"])


def _ours(rows: Rows) -> Iterable[tuple[str, str]]:
    """Yield the cases that this referee doesn't decide rightly."""
    for name, row in rows.items():
        said = row["verdicts"]["jax_backprop"]
        if said != ("pass" if row["right"] else "fail"):
            yield name, said


if __name__ == "__main__":
    main()
