"""The judge of ``make fuzz`` is judged: each kind of failure, planted, is seen and kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent.parent / "experiments" / "fuzz"
PLANTED = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import server
from grammar import Case
from jax_backprop.cli import commands
from run import Fuzz

def stray():
    Path("elsewhere").write_text("x")

def damage():
    Path("precious/a.txt").write_text("x")

def hang():
    time.sleep(60)

def leave():
    sys.exit(3)

def traceback():
    return 1 / 0

def silent():
    sys.exit(2)

def write_own(out: str):
    Path(out).mkdir()
    (Path(out) / "a").write_text("x")

server.HANG_SECONDS = 1.0
planted = [stray, damage, hang, leave, traceback, silent]
for each in [*planted, write_own]:
    commands.COMMANDS[each.__name__] = commands.Command(each, each.__name__)
place = Path(sys.argv[2])
fuzz = Fuzz(place, place / "kept")
found = {each.__name__: fuzz.try_case(Case((each.__name__,), own=("out",))) for each in planted}
found["own"] = fuzz.try_case(Case(("write_own", "--out", "out"), own=("out",)))
found["refused"] = fuzz.try_case(Case(("nothing",), own=()))
found["denied"] = fuzz.try_case(Case(("write_own", "--out", "out"), own=("other",)))
print("\\n" + json.dumps(found))
"""


def test_every_kind_of_failure_is_seen_and_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, FUZZ, tmp_path], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "stray": "file outside its own folder: elsewhere",
        "damage": "file outside its own folder: precious/a.txt",
        "hang": "hang",
        "leave": "exit code 3",
        "traceback": "exit code 99 at <string>:23",
        "silent": "exit code 2 without a word",
        "own": "",
        "refused": "",
        "denied": "file outside its own folder: out/a",
    }
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 7
    assert (kept[0] / "command.sh").read_text() == "jax-backprop stray\n"
    assert "ZeroDivisionError" in (kept[4] / "found.txt").read_text()
