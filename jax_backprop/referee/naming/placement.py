"""Where an error without a name enters: the arrays whose wrong cotangents could make all of it.

A cotangent that is wrong at one array spoils the parameters below it and no others. Of the arrays
that reach just the parameters that fail, those are kept from whose cotangents the whole error can
be had, by least squares on the linear map to the parameters.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_backprop.referee.naming.passes import Passes
from jax_backprop.referee.naming.sketch import Target

MOST = 384  # directions; with more parameters random ones stand for all
FEWEST = 32  # of them, where they don't stand for all parameters
MOST_BYTES = 6e8
SPARE = 4  # equations more than unknowns, or anything is explained
LEFT = 1e-6  # of the error, by least squares
NOTHING = 1e-11  # of a direction's derivative: rounding


class Place(NamedTuple):
    """Where an error enters.

    Args:
      slots: the arrays whose wrong cotangent explains the error: those with the fewest
        elements first, of them the nearest to the parameters.
      equation: where no single array does, the operation whose operands' cotangents do together.
      together: one array doesn't, but those that one line makes each time that it runs.
      rows: the axis along which every index has a factor of its own, if that is enough, and the
        factors.
    """

    slots: tuple[int, ...]
    equation: int | None = None
    rows: tuple[int, np.ndarray] | None = None
    together: bool = False

    @property
    def is_one_array(self) -> bool:
        """Whether a single array explains the error: the others are weaker evidence."""
        return self.equation is None and not self.together


def place(passes: Passes, target: Target, deadline: float = float("inf")) -> Place | None:
    """Return where the error enters; None where neither an array nor an operation explains it.

    Arrays whose cotangents reach just the failing parameters are asked first. ``deadline`` is one
    of the monotonic clock.
    """
    steps, wanted = _equations(passes, target)
    if len(wanted) < FEWEST and len(wanted) < sum(error.size for error in target.error):
        return None  # every array would explain so few equations
    tangents = passes.tangents(steps)
    flat = {slot: array.reshape(len(wanted), -1) for slot, array in tangents.items()}
    enough = LEFT * float(np.linalg.norm(wanted))
    own = {
        slot
        for each in passes.program.equations
        if each.source.own
        for slot in (*each.outputs, *each.inputs)
    }
    few = set(passes.program.leaves) | {n for n in flat if flat[n].shape[1] < len(wanted)}
    own &= set(flat) & few
    exact = {slot for slot in own if _reaches(passes, [slot], target)}

    def explain(slots: set[int]) -> list[int]:
        return [
            slot
            for slot in sorted(slots)
            if time.monotonic() < deadline and _left(flat[slot], wanted) <= enough
        ]

    narrow = explain(exact) or explain(own - exact)
    if not narrow:
        kept = {slot: flat[slot] for slot in own}
        found = _operation(passes, target, flat, wanted, enough)
        return found or _line(passes, target, kept, wanted, enough, deadline)
    sizes = {slot: passes.values[slot].size for slot in own}
    fewest = min(sizes[slot] for slot in narrow)
    # What cancels in a sum leaves a leaf right: arrays that reach more may be the place as well.
    alike = {slot for slot in sizes if sizes[slot] <= fewest} - exact - set(narrow)
    narrow += explain(alike)

    def order(slot: int) -> tuple[bool, bool, int]:
        return slot in alike, sizes[slot] > fewest, passes.numbers.get(slot, -1)

    near = sorted(narrow, key=order)
    return Place(tuple(near), rows=_rows(passes, flat, tuple(near), wanted))


def _operation(
    passes: Passes, target: Target, flat: dict[int, np.ndarray], wanted: np.ndarray, enough: float
) -> Place | None:
    """Return the operation with the fewest operands that explain the error together."""
    found = []
    for number, each in enumerate(passes.program.equations):
        slots = [each.inputs[n] for n in passes.places(each)]
        if len(slots) > 1 and each.source.own and _reaches(passes, slots, target):
            rows = np.concatenate([flat[slot] for slot in dict.fromkeys(slots)], axis=1)
            if rows.shape[1] <= len(wanted) - SPARE and _left(rows, wanted) <= enough:
                found.append((rows.shape[1], -number))
    return Place((), equation=-min(found)[1]) if found else None


def _line(
    passes: Passes,
    target: Target,
    flat: dict[int, np.ndarray],
    wanted: np.ndarray,
    enough: float,
    deadline: float,
) -> Place | None:
    """Return the line whose arrays explain the error together: in every step, in every layer."""
    runs: dict[object, dict[int, None]] = {}
    for slot in sorted(flat):
        for number, operand in passes.uses[slot]:
            each = passes.program.equations[number]
            runs.setdefault((each.name, each.source, operand), {})[slot] = None
    found = []
    for slots in map(tuple, runs.values()):
        size = sum(passes.values[slot].size for slot in slots)
        few = len(slots) > 1 and size <= len(wanted) - SPARE
        if not few or time.monotonic() > deadline or not _reaches(passes, slots, target):
            continue
        if _left(np.concatenate([flat[slot] for slot in slots], axis=1), wanted) <= enough:
            found.append((size, -min(slots), slots))
    return Place(min(found)[-1], together=True) if found else None


def _equations(passes: Passes, target: Target) -> tuple[list[np.ndarray], np.ndarray]:
    """Return directions, and the error's product with each: an equation for every one."""
    total = sum(error.size for error in target.error)
    size = sum(passes.values[slot].size for slot in passes.active) * 8.0
    count = int(min(total, MOST, MOST_BYTES / size))
    generator = np.random.default_rng(2)
    steps = []
    for error, scale in zip(target.error, target.scales, strict=True):
        steps.append(generator.normal(size=(count, *error.shape)) / scale)
    rows = zip(steps, target.error, strict=True)
    wanted = sum((step.reshape(count, -1) @ error.ravel() for step, error in rows), np.zeros(count))
    return steps, wanted


def _left(rows: np.ndarray, wanted: np.ndarray) -> float:
    """Return what no cotangent of an array explains, in the norm of all equations."""
    if not rows.any():
        return float("inf")
    left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
    span = left[:, sizes > NOTHING * sizes[0]]
    return float(np.linalg.norm(wanted - span @ (span.T @ wanted)))


def _reaches(passes: Passes, slots: Sequence[int], target: Target) -> bool:
    """Whether what goes through arrays reaches the failing parameters and no others."""
    reached = set(slots)
    for each in reversed(passes.program.equations):
        if reached & set(each.outputs):
            reached |= set(each.inputs) & passes.program.active
    leaves = [leaf in reached for leaf in passes.program.leaves]
    return leaves == target.failing.tolist()


def _rows(
    passes: Passes, flat: dict[int, np.ndarray], slots: tuple[int, ...], wanted: np.ndarray
) -> tuple[int, np.ndarray] | None:
    """Find an axis along which the cotangent is right but for a factor at every index."""
    for slot in slots:
        right = passes.base.cotangents[slot]
        for axis, size in enumerate(right.shape):
            if not 1 < size <= len(wanted) // 2:
                continue
            parts = (flat[slot] * right.ravel()).reshape(len(wanted), *right.shape)
            columns = np.moveaxis(parts, axis + 1, 1).reshape(len(wanted), size, -1).sum(-1)
            found, *_ = np.linalg.lstsq(columns, wanted, rcond=NOTHING)
            if np.linalg.norm(columns @ found - wanted) <= LEFT * np.linalg.norm(wanted):
                return axis, 1 + found
    return None
