"""Try to lose or mix results: kills at random moments, flipped bytes, racers on one folder.

`make torture` runs all of it (half an hour on two cores) and exits with 1 at the first loss.
The short forms of the same checks are in the tests.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jax_backprop.errors import InputError
from jax_backprop.storage import file_sha256

STUDY = """
title = "torture"
question = "Is anything lost?"
epochs = 40
batch_size = 200
hidden_sizes = [4]
[axes]
learning_rate = { low = 1e-2, high = 1e2, points_per_decade = 8 }
seed = { count = 40 }
"""

# Small shards: many moments between the first part and the last.
SWEEP = """
from jax_backprop.engine import tiles
tiles.CPU = tiles.CPU._replace(shard_work=5e9)
from jax_backprop.cli import main
main()
"""


def main() -> None:
    """Run what the command line names, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--racers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = folder / "study.toml"
        study.write_text(STUDY)
        whole = folder / "whole"
        _sweep(study, whole).wait()  # compiles the programs, which the others find
        started = time.perf_counter()
        _sweep(study, folder / "again").wait()
        seconds = time.perf_counter() - started
        _same(whole, folder / "again")
        _kills(study, whole, folder / "killed", options.kills, seconds, random.Random(options.seed))
        _flips(study, whole, folder / "flipped")
        _races(folder, options.racers, options.rounds)
    print("nothing was lost")


def _kills(
    study: Path, whole: Path, folder: Path, kills: int, seconds: float, moments: random.Random
) -> None:
    """Kill a sweep at random moments until so many kills are done; then compare every byte."""
    done = finished = midway = 0
    started = time.perf_counter()
    while done < kills:
        child = _sweep(study, folder)
        time.sleep(moments.uniform(0.5, 1.05) * seconds)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            done += 1
        child.wait()
        midway += any((folder / "cells").glob("*")) and not _is_complete(folder)
        if _is_complete(folder):
            _same(whole, folder)
            shutil.rmtree(folder)
            finished += 1
        left = (time.perf_counter() - started) / max(1, done) * (kills - done)
        print(f"\rkills: {done}/{kills}, {finished} studies finished, {left:.0f} s left ", end="")
    _sweep(study, folder).wait()
    _same(whole, folder)
    if not midway or not finished:
        raise SystemExit(
            "no kill came between a study's first part and its last: nothing was tried"
        )
    print(
        f"\nkills: {kills} of {kills} left whole parts alone ({midway} of them between the first "
        f"part and the last), {finished + 1} studies with the same bytes as without a kill"
    )


def _flips(study: Path, whole: Path, folder: Path) -> None:
    """Flip every byte of a part in turn: each is found, and the last is computed anew."""
    from jax_backprop import load_study

    shutil.copytree(whole, folder)
    part = sorted((folder / "cells").glob("*.parquet"))[-1]
    content = part.read_bytes()
    for place in range(len(content)):
        part.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            load_study(folder)
        except InputError:
            continue
        raise SystemExit(f"byte {place} of {part.name} was flipped, and nobody saw it")
    _sweep(study, folder).wait()
    _same(whole, folder)
    print(f"flips: each of {len(content):,} bytes of {part.name} was found; it was computed anew")


def _races(folder: Path, racers: int, rounds: int) -> None:
    """Let many processes open one study at once, again and again: one wins each time."""
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(racers), context.Queue()
    runners = [
        context.Process(target=_race, args=(folder / "race", rounds, barrier, wins))
        for _ in range(racers)
    ]
    for runner in runners:
        runner.start()
    won = [wins.get(timeout=60) for _ in range(racers * rounds)]
    for runner in runners:
        runner.join()
    winners = [sum(won for number, won in won if number == round) for round in range(rounds)]
    if winners != [1] * rounds:
        raise SystemExit(f"winners a round: {winners}")
    print(f"races: one winner among {racers} in each of {rounds} rounds")


def _race(folder: Path, rounds: int, barrier: Any, wins: Any) -> None:
    from jax_backprop.engine.store import open_study

    for number in range(rounds):
        barrier.wait()
        won = False
        try:
            with open_study(folder / str(number), {"round": number}, {}):
                won = True
                barrier.wait()  # hold it until all have tried
        except InputError as error:
            assert "in use by process" in str(error), error
            barrier.wait()
        wins.put((number, won))


def _sweep(study: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SWEEP, "sweep", str(study), "--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)


def _is_complete(folder: Path) -> bool:
    manifest = folder / "study.json"
    return manifest.exists() and '"complete": true' in manifest.read_text()


def _same(whole: Path, folder: Path) -> None:
    def sums(root: Path) -> dict[str, str]:
        return {
            str(path.relative_to(root)): file_sha256(path)
            for path in sorted(root.rglob("*.parquet"))
        }

    if sums(whole) != sums(folder):
        raise SystemExit(f"the files of {folder.name} are not those of an uninterrupted run")


if __name__ == "__main__":
    main()
