"""Change the package in hundreds of small ways, one at a time: do its tests turn red?

    make mutation SEED=0 COUNT=300 ROOMS="heart training" JOBS=2

The changes are cosmic-ray's. Each mutant meets the tests of its own room in a process of its own
and in a copy of the tree. Results are kept a line each: an interrupted run continues, and AGAIN=1
judges those that survived once more, after better tests were written.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from judging import ROOT, Room, Verdict, copy_tree, judge, record
from mutants import Mutant, sample


def main() -> None:
    """Judge a sample of mutants and print the table and the survivors."""
    chosen = _arguments()
    mutants = sample(ROOT / "jax_backprop", chosen.rooms, chosen.count, chosen.seed)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    known = dict(_read(chosen.out))
    if chosen.again:
        known = {key: found for key, found in known.items() if found.outcome == "killed"}
    todo = [mutant for mutant in mutants if mutant.key not in known]
    with chosen.out.open("a") as file:
        for mutant, verdict in _judge_all(todo, chosen.jobs):
            known[mutant.key] = verdict
            file.write(json.dumps({**mutant._asdict(), **verdict._asdict()}) + "\n")
            file.flush()
            print(f"{verdict.outcome:9} {verdict.seconds:6.1f} s  {_said(mutant)}", flush=True)
    print(_table(mutants, known))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rooms", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "experiments/results/mutation.jsonl")
    return parser.parse_args()


def _read(path: Path) -> Iterator[tuple[str, Verdict]]:
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        yield row["key"], Verdict(*(row[name] for name in Verdict._fields))


def _judge_all(mutants: list[Mutant], jobs: int) -> Iterator[tuple[Mutant, Verdict]]:
    """Yield each mutant's verdict; workers are started afresh, and none of them imports JAX."""
    compiled = Path(tempfile.mkdtemp(prefix="mutation-compiled-"))
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(
            jobs, context, initializer=copy_tree, initargs=(compiled,)
        ) as workers:
            rooms = {name: workers.submit(record, name) for name in {each.room for each in mutants}}
            for name, recorded in rooms.items():
                room: Room = recorded.result()
                own = [mutant for mutant in mutants if mutant.room == name]
                yield from zip(own, workers.map(judge, own, [room] * len(own)), strict=True)
    finally:
        shutil.rmtree(compiled, ignore_errors=True)


def _said(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.line}  {mutant.before}  ->  {mutant.after}"


def _table(mutants: list[Mutant], known: dict[str, Verdict]) -> str:
    lines = [f"{'room':12}{'mutants':>9}{'killed':>9}{'survived':>10}{'timed out':>11}{'share':>8}"]
    for room in [*dict.fromkeys(mutant.room for mutant in mutants), "all"]:
        keys = [mutant.key for mutant in mutants if room in (mutant.room, "all")]
        found = Counter(known[key].outcome for key in keys)
        share = 1 - found["survived"] / max(len(keys), 1)
        lines.append(
            f"{room:12}{len(keys):9}{found['killed']:9}{found['survived']:10}"
            f"{found['timed out']:11}{share:8.0%}"
        )
    survivors = [mutant for mutant in mutants if known[mutant.key].outcome == "survived"]
    return "\n".join([*lines, "", "Survivors:", *map(_said, survivors)])


if __name__ == "__main__":
    main()
