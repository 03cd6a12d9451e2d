"""Mistakes that were written blind before the referee: verdicts, names, and lines.

`run.py --out RESULTS` goes on where it stopped. ``written`` holds the mistakes as they were
written, by an author who had seen neither the catalogue of names nor the referee: 357 in the
gradients of twelve networks, each with the line of the loss that it gets wrong, and 61 right and
90 wrong gradients of other functions.
"""

# pyright: reportMissingImports=false
# (what is imported from the folder beside is found while it runs)

from __future__ import annotations

import argparse
import importlib
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

import jax_backprop as jb
from jax_backprop.cli import console
from jax_backprop.storage import write_atomic

sys.path.insert(0, str(Path(__file__).parent / "written"))

from bug import Bug, bugged_source, load_source

WRITTEN = Path(__file__).parent / "written"
FAMILIES = (
    *("attention", "batch_norm", "conv", "embedding", "gru_or_rnn", "homework", "layer_norm"),
    *("lstm", "mlp", "softmax_variants", "transformer_block", "vae_or_other"),
)
PLACES = ("unknown", "line_factors")  # what is said where there is a place and no name
SHOWN = 6  # lines of a diagnosis that a reader looks at
OUTCOMES = (
    *("named right", "placed right", "named wrong", "placed wrong", "unplaced"),
    *("accepted", "undecided"),
)


def main() -> None:
    """Judge what isn't judged yet; write the results and say the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    options = parser.parse_args()
    path = options.out / "blind.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    jax.config.update("jax_enable_x64", True)
    done = {row["id"] for row in rows}
    todo = [case for case in cases() if case[0] not in done]
    with console.progress("gradients") as advance, tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch  # where each mistake's module is written
        for number, (name, judge) in enumerate(todo, 1):
            rows.append({"id": name, **judge()})
            advance(number, name, len(todo))
            write_atomic(path, json.dumps(rows, indent=1) + "\n")
    for line in sentences(rows):
        print(line)


def cases() -> Iterator[tuple[str, Any]]:
    """Yield each gradient's name and its judge: the families in turn, their mistakes shuffled."""
    lists = importlib.import_module("right").RIGHT, importlib.import_module("wrong").WRONG
    for kind, found in zip(("right", "wrong"), lists, strict=True):
        for each in found:
            yield f"{kind}:{each[0]}", lambda each=each: verdict_of(*each)
    shuffle, waiting = random.Random(0), {}
    for family in FAMILIES:
        module = importlib.import_module(family)
        shuffle.shuffle(bugs := list(module.BUGS))
        waiting[family] = bugs
        yield f"right:{family}", lambda m=module: verdict_of("", m.loss, m.gradient, *m.make())
    while any(waiting.values()):
        for family, bugs in waiting.items():
            if bugs:
                bug = bugs.pop()
                yield f"{family}:{bug.name}", lambda f=family, b=bug: named(f, b)


def verdict_of(name: str, loss: Any, gradient: Any, params: Any, args: Any) -> dict[str, Any]:
    """Return the verdict on one gradient, and what is said of it."""
    started = time.perf_counter()
    check = jb.check_value_and_grad if name.endswith("value_and_grad") else jb.check_gradient
    report = check(loss, gradient, params, *args)
    seconds = round(time.perf_counter() - started, 1)
    bugs = [each.bug for each in report.diagnosis]
    said = report.remarks()
    return {"verdict": report.verdict, "bugs": bugs, "said": said, "seconds": seconds}


def named(family: str, bug: Bug) -> dict[str, Any]:
    """Judge a mistake in a family's gradient: the verdict, and whether its line is said."""
    source = bugged_source((WRITTEN / f"{family}.py").read_text(), bug)
    module = load_source(source, f"{family}_{bug.name}")
    row = verdict_of("", module.loss, module.gradient, *module.make())
    wanted = {
        number
        for number, line in enumerate(source.splitlines(), 1)
        for part in bug.forward_lines
        if part in line
    }
    return row | {"outcome": outcome(row, wanted), "what": bug.note}


def outcome(row: dict[str, Any], wanted: set[int]) -> str:
    """Return one of OUTCOMES: of several mistakes that are named, all have to be right."""
    if row["verdict"] != "fail":
        return "accepted" if row["verdict"] == "pass" else "undecided"
    said = [line for line in row["said"] if line.startswith("likely bug")]
    lines = [[int(n) for n in re.findall(r"\.py:(\d+)", each)] for each in said]
    if not lines or not lines[0]:
        return "unplaced"
    right = [bool(wanted & set(each[:SHOWN])) for each in lines]
    if row["bugs"][0] in PLACES:
        return "placed right" if right[0] else "placed wrong"
    return "named right" if all(right) else "named wrong"


def sentences(rows: list[dict[str, Any]]) -> list[str]:
    """Return the shares in words."""
    mistakes = [row for row in rows if "outcome" in row]
    counts = Counter(row["outcome"] for row in mistakes)
    told = [f"{name} {counts[name]} ({counts[name] / len(mistakes):.0%})" for name in OUTCOMES]
    said = [f"{len(mistakes)} mistakes: {', '.join(told)}"] if mistakes else []
    for kind, wanted in (("right", "pass"), ("wrong", "fail")):
        mine = [row for row in rows if row["id"].startswith(f"{kind}:")]
        off = [row["id"] for row in mine if row["verdict"] != wanted]
        listed = f": {', '.join(off)}" if off else ""
        said.append(f"{len(mine)} {kind} gradients, {len(off)} judged otherwise{listed}")
    return said


if __name__ == "__main__":
    main()
