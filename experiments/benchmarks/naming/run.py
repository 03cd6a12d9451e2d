"""Frozen mistakes before the diagnosis: named right, placed right, named wrong."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from families import FAMILIES, PLAIN
from mistakes import MISTAKES, Mistake

from jax_backprop.cli import console
from jax_backprop.referee.naming.diagnosing import explain, passes_of, target_of, within_a_loop
from jax_backprop.referee.naming.facts import Facts
from jax_backprop.referee.naming.passes import Passes
from jax_backprop.referee.naming.placement import place
from jax_backprop.referee.naming.wording import placed
from jax_backprop.storage import write_atomic

OUTCOMES = (
    "named right",
    "placed right",
    "named wrong",
    "placed wrong",
    "nothing said",
    "equivalent",
)
SHOWN = 4  # lines of a place that a reader would look at


class Right(NamedTuple):
    """A family's loss of the differentiated arrays alone, and its passes: loops closed and open."""

    loss: Any
    structure: Any
    args: list[Any]
    facts: Facts
    passes: list[Passes]


@cache
def right(name: str) -> Right:
    """Return what all mistakes of a family share."""
    family = FAMILIES[name]
    params, *args = family.point()
    leaves, structure = jax.tree.flatten(params)

    def loss(*arrays: Any) -> Any:
        return family.loss(jax.tree.unflatten(structure, arrays), *args, PLAIN)

    truth = [np.asarray(a) for a in jax.grad(lambda given: loss(*given))(leaves)]
    facts = Facts((), truth, truth, leaves, (), (), 1e-6)
    found = [passes_of(loss, facts, opened=opened) for opened in (False, True)]
    kept = [each for each in found if each is not None]
    return Right(loss, structure, args, facts, kept if kept[0].program.loops else kept[:1])


def judge(mistake: Mistake) -> dict[str, Any]:
    """Return what is said of one mistake, and whether it is right."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        of = right(mistake.family)
        ops = PLAIN | {mistake.op: wrong_rule(mistake)}
        params = jax.tree.unflatten(of.structure, of.facts.params)
        wrong = jax.grad(FAMILIES[mistake.family].loss)(params, *of.args, ops)
        hand = [np.asarray(array) for array in jax.tree.leaves(wrong)]
        target = target_of(of.facts._replace(hand=hand), 1e-10)
        started = time.perf_counter()
        if not target.failing.any():
            found, what = [], "equivalent"
        else:
            found = search_all(of.passes, target)
            what = outcome(mistake, found)
    said = [f"{each.bug}: {each.place}: {each.what}, in `{each.line}`" for each in found]
    return {
        "family": mistake.family,
        "what": f"{mistake.op}, {mistake.what}",
        "outcome": what,
        "said": said,
        "seconds": time.perf_counter() - started,
    }


def search_all(passes: list[Passes], target: Any) -> list[Any]:
    """Do what the diagnosis does, with programs that are compiled already."""
    found: list[Any] = []
    for each in passes:
        if within_a_loop(found):
            found = explain(each, target, 1e-10, time.monotonic() + 20) or found
    if found:
        return found
    where = place(passes[0], target)
    return [] if where is None else [placed(passes[0], where)]


def wrong_rule(mistake: Mistake) -> Any:
    """Return the operation with the wrong backward."""
    plain = PLAIN[mistake.op]
    rule = jax.custom_vjp(plain)
    rule.defvjp(lambda *args: (plain(*args), args), mistake.backward)
    return rule


def outcome(mistake: Mistake, found: list[Any]) -> str:
    """Return one of OUTCOMES: of several mistakes that are named, all have to be right."""

    def right(source: Any) -> bool:
        return any(part in source.text for part in mistake.line)

    if not found:
        return "nothing said"
    if found[0].bug in ("unknown", "line_factors"):
        return "placed right" if any(map(right, found[0].sources[:SHOWN])) else "placed wrong"
    named = all(any(map(right, each.sources[:SHOWN])) for each in found)
    return "named right" if named else "named wrong"


def main() -> None:
    """Judge all mistakes; write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    options = parser.parse_args()
    chosen = [each for each in MISTAKES if each.family in options.families]
    rows = []
    with console.progress("mistakes") as advance:
        for number, mistake in enumerate(chosen, 1):
            rows.append(row := judge(mistake))
            advance(number, row["what"], len(chosen))
            print(f"{row['outcome']:13} {row['family']}, {row['what']} ({row['seconds']:.1f} s)")
            print(*(f"    {each}" for each in row["said"]), sep="\n", flush=True)
    counts = Counter(row["outcome"] for row in rows)
    write_atomic(options.out / "naming.json", json.dumps({"rows": rows}, indent=1) + "\n")
    print("; ".join(f"{name}: {counts[name]} of {len(rows)}" for name in OUTCOMES))


if __name__ == "__main__":
    main()
