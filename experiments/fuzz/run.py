"""Try to make a command end badly: a traceback, another exit code, a hang, a stray file.

`make fuzz SEED=0 BUDGET=600 RUNS=20000`. Every run is a fork in a folder of its own; each failure
is kept with its files and its command, so that it can be run again by hand.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from cases import cases
from grammar import Case
from hypothesis import HealthCheck, Phase, given, seed, settings
from judge import complaint, snapshot
from material import COMMANDS, apply, write_plain
from server import Outcome, import_everything, run

BATCH = 250  # cases that are drawn by one seed
KEPT = Path(__file__).parents[1] / "results" / "fuzz"


class Fuzz:
    """Runs cases, counts them, keeps what fails."""

    def __init__(self, place: Path, kept: Path) -> None:
        self._place, self._kept = place, kept
        self._material = place / "material"
        self.runs = 0
        self.failures: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()

    def prepare(self) -> None:
        """Make the material, by the commands themselves."""
        import tiny_sets  # pyright: ignore[reportMissingImports]

        self._material.mkdir()
        (self._material / "home" / "tmp").mkdir(parents=True)
        write_plain(self._material)
        tiny_sets.register(self._material / "originals", "mnist")
        for command in COMMANDS:
            made = run(command, self._material, compiled=self._place / "compiled")
            if made.code:
                raise SystemExit(f"{shlex.join(command)}: {made}")

    def try_case(self, case: Case) -> str:
        """Run a case; return what is wrong with it, having kept it, or ""."""
        folder = self._place / "run"
        self._lay_out(case, folder)
        outcome, found = self._judged(case, folder)
        self.codes[outcome.code] += 1
        if (
            not found and case.sound and outcome.code
        ):  # what was stopped or failed can be done again
            again, found = self._judged(case._replace(fault=None, kill=None), folder)
            if not found and again.code:
                outcome, found = again, f"exit code {again.code} of the same command again"
        self.runs += 1
        if found:
            self.failures[found] += 1
            if self.failures[found] <= 3:
                self._keep(case, outcome, found)
        return found

    def _judged(self, case: Case, folder: Path) -> tuple[Outcome, str]:
        before = snapshot(folder)
        outcome = run(
            case.arguments,
            folder,
            fault=case.fault,
            kill=case.kill,
            encoding=case.encoding,
            compiled=self._place / "compiled",
        )
        return outcome, complaint(outcome, case.kill, before, snapshot(folder), case.own)

    def _lay_out(self, case: Case, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "home" / "tmp").mkdir(parents=True)
        (folder / "precious").mkdir()
        (folder / "precious" / "a.txt").write_text("mine")
        for change in case.changes:
            apply(change, folder, self._material)

    def _keep(self, case: Case, outcome: Outcome, found: str) -> None:
        self._kept.mkdir(parents=True, exist_ok=True)
        place = self._kept / f"{len(list(self._kept.iterdir())):03}"
        self._lay_out(case, place)
        line = shlex.join(["jax-backprop", *case.arguments]).encode(errors="backslashreplace")
        (place / "command.sh").write_bytes(line + b"\n")
        about = f"{found}\n{case._replace(changes=())}\n{outcome.text[-6000:]}"
        (place / "found.txt").write_text(about, errors="backslashreplace")
        print(f"\n{found}: cd {place} && {line.decode()[:300]}")
        print(f"  {case.fault or ''} {case.kill or ''} {case.encoding}")
        print("  " + "\n  ".join(outcome.text.strip().splitlines()[-4:])[:600], flush=True)


def fuzz(place: Path, kept: Path, *, number: int, budget: float, runs: int) -> Fuzz:
    """Run cases until the budget of seconds or of runs is spent."""
    import_everything()
    found = Fuzz(place, kept)
    found.prepare()
    started = told = time.monotonic()
    batch = 0
    while found.runs < runs and time.monotonic() - started < budget:

        @seed(number * 1_000_003 + batch)
        @settings(
            max_examples=BATCH,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(case=cases())
        def each(case: Case) -> None:
            nonlocal told
            passed = time.monotonic() - started
            if passed > budget or found.runs >= runs:
                return
            found.try_case(case)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                left = min(budget - passed, passed / found.runs * (runs - found.runs))
                print(
                    f"\r{found.runs:,} runs, {found.failures.total()} failed, "
                    f"{found.runs / passed:.1f} a second, {left:.0f} s left ",
                    end="",
                    flush=True,
                )

        each()
        batch += 1
    return found


def main() -> None:
    """Run what the command line asks for; exit code 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=600.0, help="seconds")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of what failed")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        found = fuzz(
            Path(name), options.kept, number=options.seed, budget=options.budget, runs=options.runs
        )
    codes = ", ".join(f"{count:,} x {code}" for code, count in sorted(found.codes.items()))
    seconds = time.monotonic() - started
    print(f"\n{found.runs:,} runs of seed {options.seed} in {seconds:.0f} s; exit codes: {codes}")
    for words, count in found.failures.most_common():
        print(f"FAILED {count} times: {words}")
    if found.failures:
        sys.exit(1)
    print("no traceback, no hang, no other exit code, no file outside")


if __name__ == "__main__":
    main()
