"""A parameter that is used in every step, whose parts aren't all added up: = where += belongs."""

from __future__ import annotations

import numpy as np

from jax_backprop.referee.naming.context import Candidate, Context, Found
from jax_backprop.referee.naming.facts import first_few
from jax_backprop.referee.naming.sketch import Target

WHOLE = 1e-5  # how near to a whole number a part has to be counted
MOST = 64  # parts


def accumulated(at: Context, target: Target) -> list[Found]:
    """Return for each failing leaf which of its parts are missing or counted twice.

    Empty where that doesn't explain all of them: the parts are what one line adds each time that
    it runs.
    """
    found = []
    for position in np.flatnonzero(target.failing):
        slot = at.passes.program.leaves[position]
        own = _of_leaf(at, slot, target.error[position], target.floors[position])
        if own is None:
            return []
        found.append(own)
    return found


def _of_leaf(at: Context, slot: int, error: np.ndarray, floor: float) -> Found | None:
    parts = at.back.contributions
    own = (use for use in at.passes.uses[slot] if use[0] in at.passes.runs)
    for run, place in dict.fromkeys((at.passes.runs[number], place) for number, place in own):
        uses = [(number, place) for number in run if at.equation(number).inputs[place] == slot]
        if not 2 <= len(uses) <= min(MOST, error.size - 1):
            continue
        columns = np.stack([parts[use].ravel() for use in uses], axis=1)
        times, _, rank, _ = np.linalg.lstsq(columns, error.ravel(), rcond=None)
        counts = np.round(times)
        off = np.linalg.norm(error.ravel() - columns @ counts)
        if rank == len(uses) and off <= floor and np.abs(times - counts).max() <= WHOLE:
            text = _in_words(counts.astype(int) + 1)
            if text:
                kept = uses[int(np.argmax(counts))][0]
                candidate = Candidate(kept, place, text, 1, slot, lambda: error)
                return Found(candidate, 1.0, error)
    return None


def _in_words(counts: np.ndarray) -> str:
    """Return which of the parts are counted how often; "" where all are."""
    of = f"of the {len(counts)} parts of its gradient"
    kept = np.flatnonzero(counts)
    if (counts == 1).all():
        return ""
    if len(kept) == 1 and counts[kept[0]] == 1:
        names = {0: "the first", len(counts) - 1: "the last"}
        return f"{of} {names.get(int(kept[0]), f'number {kept[0]}')} alone counts: = for +="
    wrong = np.flatnonzero(counts != 1)
    often = "miscounted"
    if np.ptp(counts[wrong]) == 0:
        often = {0: "left out", -1: "subtracted", 2: "counted twice"}.get(
            int(counts[wrong[0]]), often
        )
    if len(wrong) == 1:
        return f"{of} number {wrong[0]} is {often}"
    return f"{of} numbers {first_few(wrong)} are {often}"
