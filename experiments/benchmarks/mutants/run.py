"""The referee refereed: every mutant and every correct problem before every checker.

Writes kill_matrix.json, kill_matrix.md, kill_matrix.svg and kill_matrix.png.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from catalogue import MUTANTS
from correct import ARCHITECTURES, PROBLEMS, correct_problems
from gradient_checkers import PEERS
from judging import Verdict, judge_correct, judge_mutant
from planting import Mutant
from points import DTYPES, NETWORKS, PENALTIES
from tables import OURS, draw, table

from jax_backprop.cli import console
from jax_backprop.derivation.problems import Problem
from jax_backprop.engine.store import provenance
from jax_backprop.storage import write_atomic


def main() -> None:
    """Judge everything, with progress; write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--problems", type=int, default=PROBLEMS, help="correct problems a dtype")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument(
        "--budget", type=float, default=2700.0, help="seconds; the rest is left out"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    verdicts: list[Verdict] = []
    equivalent: dict[str, list[str]] = {name: [] for name in options.networks}
    alarms: dict[tuple[str, str], list[bool]] = defaultdict(list)
    work = _work(options.networks, list(correct_problems(count=options.problems)))
    unfinished = _judge_all(work, options.budget, verdicts, equivalent, alarms)
    order = {mutant: number for number, mutant in enumerate(MUTANTS)}
    verdicts.sort(key=lambda each: (each.network, order[each.mutant]))
    for names in equivalent.values():
        names.sort(key=lambda name: order[name])
    seconds = time.perf_counter() - started
    content = summarise(tuple(MUTANTS.values()), verdicts, equivalent, alarms, seconds)
    content["unfinished"] = f"{unfinished} of {len(work)} jobs" if unfinished else None
    write_atomic(options.out / "kill_matrix.json", json.dumps(content, indent=1) + "\n")
    write_atomic(options.out / "kill_matrix.md", table(content))
    draw(content, options.out)
    print(table(content))


Job = tuple[str | None, str, list[Problem]]  # a mutant on a network, or correct problems


def _work(networks: list[str], problems: list[Problem]) -> list[Job]:
    """Return the jobs, the kinds spread evenly, so that a budget that ends early cuts all alike."""
    mutants: list[Job] = [(mutant, name, []) for mutant in MUTANTS for name in networks]
    groups: list[Job] = [
        (None, "correct problems", problems[first::ARCHITECTURES])
        for first in range(min(ARCHITECTURES, len(problems)))
    ]
    places = [(n / len(kind), job) for kind in (mutants, groups) for n, job in enumerate(kind)]
    return [job for _, job in sorted(places, key=lambda place: place[0])]


def _judge_all(
    work: list[Job],
    budget: float,
    verdicts: list[Verdict],
    equivalent: dict[str, list[str]],
    alarms: dict[tuple[str, str], list[bool]],
) -> int:
    """Do the jobs on every core, with progress; return how many the budget left out."""
    # Processes, not threads: chex replaces a function of jax while it runs.
    context = multiprocessing.get_context("spawn")
    # One thread a process: there are as many processes as cores.
    os.environ |= {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    cores, done = len(os.sched_getaffinity(0)), 0
    with ProcessPoolExecutor(cores, context) as pool, console.progress("checks") as advance:
        jobs: dict[Any, tuple[str | None, str]] = {}
        for mutant, name, problems in work:
            job = pool.submit(judge_mutant, mutant, name) if mutant else None
            jobs[job or pool.submit(judge_correct, problems)] = (mutant, name)
        try:
            for done, job in enumerate(as_completed(jobs, timeout=budget), 1):
                mutant, name = jobs[job]
                if mutant is None:
                    for checker, dtype, alarm in job.result():
                        alarms[checker, dtype].append(alarm)
                else:
                    found, same = job.result()
                    verdicts += found
                    equivalent[name] += [mutant] if same else []
                advance(done, f"{mutant or ''} {name}", len(jobs))
        except TimeoutError:
            pool.shutdown(wait=False, cancel_futures=True)
    return len(work) - done


def summarise(
    mutants: tuple[Mutant, ...],
    verdicts: list[Verdict],
    equivalent: dict[str, list[str]],
    alarms: dict[tuple[str, str], list[bool]],
    seconds: float,
) -> dict[str, Any]:
    """Return the whole kill matrix as plain data."""
    checkers = []
    for name in (OURS, *(peer.name for peer in PEERS)):
        own = [verdict for verdict in verdicts if verdict.checker == name]
        for dtype in DTYPES:
            judged = [verdict for verdict in own if verdict.dtype == dtype]
            if not judged:
                continue
            missed = [f"{each.mutant} on {each.network}" for each in judged if not each.killed]
            heard = alarms[name, dtype]
            checkers.append(
                {
                    "checker": name,
                    "dtype": dtype,
                    "judged": len(judged),
                    "kills": len(judged) - len(missed),
                    "missed": missed,
                    "false_alarms": sum(heard),
                    "correct_problems": len(heard),
                }
            )
    sets = {mutant.name: mutant.of_set for mutant in mutants}
    return {
        "provenance": provenance(),
        "seconds": seconds,
        "penalties": PENALTIES._asdict(),
        "checkers": checkers,
        "notes": {peer.name: peer.note for peer in PEERS if peer.note},
        "equivalent": dict(equivalent),
        "diagnosis": [_diagnoses(number, verdicts, sets) for number in sorted(set(sets.values()))],
        "mutants": [
            {
                "name": mutant.name,
                "set": mutant.of_set,
                "what": mutant.what,
                "right": list(mutant.right),
            }
            for mutant in mutants
        ],
        "verdicts": [verdict._asdict() for verdict in verdicts],
    }


def _diagnoses(number: int, verdicts: list[Verdict], sets: dict[str, int]) -> dict[str, Any]:
    """Count how right our first diagnosis of a set's mutants is."""
    ours = [each for each in verdicts if each.checker == OURS and sets[each.mutant] == number]
    counts = Counter(each.named for each in ours)
    return {
        "set": number,
        "judged": len(ours),
        "outcomes": dict(counts),
        "not_named_right": [
            f"{each.mutant} on {each.network}, {each.dtype}: {each.named}"
            for each in ours
            if each.named != "named right"
        ],
    }


if __name__ == "__main__":
    main()
