"""What a run may do: end with a code that says how, print no traceback, touch its own folder."""

from __future__ import annotations

import hashlib
import re
import signal
import stat
from pathlib import Path

from server import Kill, Outcome

CODES = {0, 1, 2}
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
MARKS = ("Traceback (most recent call last)", "Exception ignored in", "Fatal Python error")
CACHES = ("home/.cache/jax-backprop/", "home/tmp/")


def snapshot(folder: Path) -> dict[str, str]:
    """Return what every file of a folder holds, by its hash."""
    found = {}
    for path in folder.rglob("*"):
        kind = path.lstat().st_mode
        if stat.S_ISREG(kind):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not stat.S_ISDIR(kind):
            found[str(path.relative_to(folder))] = "no file"
    return found


def complaint(
    outcome: Outcome,
    kill: Kill | None,
    before: dict[str, str],
    after: dict[str, str],
    own: tuple[str, ...],
) -> str:
    """Return what is wrong with a run, in a few words; "" for nothing.

    Args:
      outcome: how it ended.
      kill: what it was sent.
      before, after: the files of the folder that it ran in.
      own: names that the command was told to write to; files within are its own.
    """
    if outcome.wrong:
        return outcome.wrong
    allowed = CODES | _codes_of(kill if outcome.killed else None)
    if outcome.code not in allowed:
        return f"exit code {outcome.code}{_place(outcome.text)}"
    if marks := [mark for mark in MARKS if mark in outcome.text]:
        return f"{marks[0]}{_place(outcome.text)}"
    touched = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    stray = sorted(name for name in touched if not _is_own(name, own))
    if stray:
        return f"file outside its own folder: {stray[0]}"
    if outcome.code == 2 and not outcome.text.strip():
        return "exit code 2 without a word"
    return ""


def _codes_of(kill: Kill | None) -> set[int]:
    """Return how a run may end that was sent a signal; the first moments have no handler yet."""
    if kill is None:
        return set()
    return {SIGNALS[signal.Signals(kill.number)], *([-kill.number] if kill.seconds < 0.01 else ())}


def _place(text: str) -> str:
    """Return where a traceback ends, so that failures of different kinds are told apart."""
    frames = re.findall(r'File "[^"]*?([^/"]+)", line (\d+)', text)
    return f" at {frames[-1][0]}:{frames[-1][1]}" if frames else ""


def _is_own(name: str, own: tuple[str, ...]) -> bool:
    if name.startswith("precious/"):
        return False
    return name.startswith(CACHES) or any(
        name == each or name.startswith((f"{each}/", f"{each}.old-")) for each in own
    )
