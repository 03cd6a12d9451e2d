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
from typing import Any

import architectures
import formulas
import jax
import kinks
from cases import Case
from checkers import judge

import jax_backprop.referee
from jax_backprop.cli import console
from jax_backprop.storage import write_atomic

Rows = dict[str, dict[str, Any]]  # by the case's name
REFEREE = Path(jax_backprop.referee.__file__).parent


def main() -> None:
    """Judge what isn't judged yet; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--families", nargs="*", default=[], help="only these")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds of this step")
    options = parser.parse_args()
    families: dict[str, list[Case]] = {}
    for case in chain(kinks.cases(), architectures.cases(), formulas.kernels()):
        families.setdefault(case.family, []).append(case)
    families["second order"] = list(formulas.second_order())
    deadline, found = time.monotonic() + options.budget, {}
    for family, cases in families.items():
        chosen = not options.families or family in options.families
        file = options.out / f"{family.replace(' ', '_')}.json"
        found[family] = _step(cases if chosen else [], file, deadline)
    text = table(found, {family: len(cases) for family, cases in families.items()})
    write_atomic(options.out / "families.md", text)
    print(text)


def _step(cases: list[Case], file: Path, deadline: float) -> Rows:
    """Judge a family's cases that aren't in its file yet, and return all that are."""
    code, rows = _code(), {}
    if file.exists():
        held = json.loads(file.read_text())
        rows = held["rows"] if held["code"] == code else {}
    with console.progress(file.stem) as advance:
        for number, case in enumerate(cases):
            if time.monotonic() > deadline:
                break
            if case.name not in rows:
                rows[case.name] = {"right": case.right, "verdicts": judge(case)}
                write_atomic(file, json.dumps({"code": code, "rows": rows}, indent=0) + "\n")
            advance(number + 1, case.name, len(cases))
    return rows


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


def table(found: dict[str, Rows], sizes: dict[str, int]) -> str:
    """Return wrong accepted and right refused, a row a family and checker."""
    lines = [
        "| family | checker | wrong accepted | right refused | undecided: wrong, right |",
        "|---|---|---:|---:|---:|",
    ]
    missed = []
    for family, rows in found.items():
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
        if len(rows) < sizes[family]:
            lines.append(f"| {family} | | {len(rows)} of {sizes[family]} judged so far | | |")
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
