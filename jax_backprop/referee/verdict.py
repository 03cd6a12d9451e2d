"""The verdict at one point: which referee is believed, and what it says of each leaf."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_backprop.referee import wrong_elements
from jax_backprop.referee.case import Case, Values
from jax_backprop.referee.comparison import compare, with_directions
from jax_backprop.referee.directions import DIRECTIONS, Directional, Line
from jax_backprop.referee.form import Leaf
from jax_backprop.referee.kinks import Kink, jumps
from jax_backprop.referee.kinks import Verdict as AtKink
from jax_backprop.referee.report import BOTH_ZERO, LeafReport
from jax_backprop.referee.sizes import leaf_size
from jax_backprop.referee.trust import gives_differences, look_along, uncertainty

LADDER = 60  # evaluations of the loss along one examined direction
SHARE = 0.1  # of the budget: what directions leaf by leaf may take where autodiff has judged
OnProgress = Callable[[int, int, str], None]
Found = list[list[Directional]]


class Judged(NamedTuple):
    """A row a leaf, notes, and gradients by differences where autodiff can't be asked."""

    rows: list[LeafReport]
    notes: list[str]
    estimates: dict[int, np.ndarray]


class Court:
    """One case before all referees.

    Args:
      deadline: on the monotonic clock; the first direction of each leaf is asked all the same.
    """

    def __init__(
        self, case: Case, values: Values, deadline: float, on_progress: OnProgress | None
    ) -> None:
        self.case, self.values, self.deadline = case, values, deadline
        self.on_progress = on_progress
        self.offset = case.offset
        self.notes: list[str] = []
        self.loss: Any = None  # another loss whose differences are asked, where stops are held
        self.found: Found = [[] for _ in case.leaves]
        self.late = False

    def judge(self) -> Judged:
        """Return the verdicts."""
        rows = compare(self.case, self.values)
        believed = self._believed()
        if believed:
            if self._cheap():
                self._look(DIRECTIONS)
            rows = self._rows(rows, "true")
            failing = [row for row in rows[self.offset :] if row.verdict == "fail"]
            if failing and self.loss is None and jumps(self.case, self.values):
                rows = self._at_kink(rows, by_autodiff=True)
        elif self._right_beside():
            rows = self._at_kink(rows, by_autodiff=True)
        else:
            rows = self._by_differences(rows)
        return self._with_elements(rows)

    def _believed(self) -> bool:
        """Say if autodiff is the loss's derivative here, where need be with its stops held."""
        case, truth, leaves = self.case, self.values.truth, self.case.form.leaves
        if truth is None:
            return False
        seed = case.options.seed
        if gives_differences(case, leaves, truth, seed):
            return True
        held = case.loss.stopped(leaves) if case.loss.traceable else None  # pyright: ignore
        if held is None or not held.possible:
            return False
        if gives_differences(case, leaves, truth, seed, held):
            self.loss = held
            self.notes.append(
                "the loss holds values by stop_gradient: differences are taken with them held"
            )
            return True
        return False

    def _right_beside(self) -> bool:
        """Say if autodiff is the loss's derivative at points beside this one: then it is a kink."""
        if self.case.autodiff is None:
            return False
        for seed, share in enumerate((1e-3, 1e-2)):
            leaves = self.case.moved(self.case.beside(share, self.case.draws([29, seed])))
            truth = self.case.truth(leaves)
            if truth is not None and gives_differences(self.case, leaves, truth, 31):
                return True
        return False

    def _cheap(self) -> bool:
        """Say if looking along every leaf costs a small share of what is left."""
        started = time.monotonic()
        self.case.line({0: np.zeros(np.shape(self.case.leaves[0].value))}, loss=self.loss)(
            np.zeros(2)
        )
        each = (time.monotonic() - started) / 2
        left = self.deadline - time.monotonic()
        return each * LADDER * DIRECTIONS * len(self.case.leaves) < SHARE * left

    def _look(self, draws: int) -> None:
        """Examine seeded directions within each leaf, every leaf's first before any's second."""
        done, total = 0, draws * len(self.case.leaves)
        for draw in range(draws):
            for number, leaf in enumerate(self.case.leaves):
                if draw > 0 and time.monotonic() > self.deadline:
                    self.late = True
                    continue
                if np.size(leaf.value):
                    seen = look_along(self.case, self.values, number, draw, self.loss)
                    self.found[number].append(seen)
                done += 1
                if self.on_progress is not None:
                    self.on_progress(done, total, leaf.path)

    def _rows(self, rows: Sequence[LeafReport], by_autodiff: str) -> list[LeafReport]:
        own = list(rows[: self.offset])
        for row, found in zip(rows[self.offset :], self.found, strict=True):
            # One direction over all leaves at once spoke for a leaf that wasn't asked alone.
            said = row.referees | ({} if found else {"differences": "pass"})
            known = row._replace(referees=said)
            own.append(with_directions(known, found, by_autodiff) if found else known)
        return own

    def _by_differences(self, rows: Sequence[LeafReport]) -> list[LeafReport]:
        self._look(DIRECTIONS)
        known = "" if self.values.truth is None else "false"
        blank = [*rows[: self.offset]]
        blank += [row._replace(verdict="-", reason="") for row in rows[self.offset :]]
        judged = self._rows(blank, known)
        kinked = any(each.kink for found in self.found for each in found)
        if kinked and any(row.verdict != "pass" for row in judged[self.offset :]):
            judged = self._at_kink(judged, by_autodiff=False)
        return [
            row._replace(reason=BOTH_ZERO) if row.verdict == "pass" and not hand.any() else row
            for row, hand in zip(judged, self.values.hand, strict=True)
        ]

    def _at_kink(self, rows: Sequence[LeafReport], *, by_autodiff: bool) -> list[LeafReport]:
        kink = Kink(self.case, self.values, by_autodiff=by_autodiff, deadline=self.deadline)
        judged = list(rows[: self.offset])
        for row, found in zip(rows[self.offset :], kink.judge(), strict=True):
            judged.append(_of_kink(row, found, by_autodiff))
        return judged

    def _with_elements(self, rows: list[LeafReport]) -> Judged:
        """Look inside the failing leaves, for elements and for gradients by differences."""
        estimates: dict[int, np.ndarray] = {}
        looked = list(rows)
        for number, leaf in enumerate(self.case.leaves):
            row, at = rows[number + self.offset], number + self.offset
            if row.verdict != "fail":
                continue
            hand, make = self.values.best[at], self._lines(number)
            truth = self.values.truth
            if truth is not None and np.isfinite(truth[at]).all():
                found = wrong_elements.worst_elements(
                    make, hand, truth[at], leaf_size(leaf.array), deadline=self.deadline
                )
                looked[at] = row._replace(elements=found)
                continue
            looked[at], estimate = self._located(leaf, row, hand, make, at)
            if estimate is not None:
                estimates[number] = estimate
        if self.late:
            least = min(len(each) for each in self.found)
            self.notes.append(
                f"the budget ended the check: {least} of {DIRECTIONS} directions a leaf"
            )
        return Judged(looked, self.notes, estimates)

    def _located(
        self, leaf: Leaf, row: LeafReport, hand: np.ndarray, make: wrong_elements.MakeLine, at: int
    ) -> tuple[LeafReport, np.ndarray | None]:
        size = float(np.linalg.norm(hand))
        slack = uncertainty(self.case, self.values, at)
        located = wrong_elements.bisect(
            make,
            hand,
            leaf_size(leaf.array),
            deadline=self.deadline,
            slack=(slack or 0.0) / size if size else 0.0,
        )
        row = row._replace(elements=located.elements[: wrong_elements.SHOWN])
        if located.estimate is not None:
            return row, located.estimate
        if not (located.finished and located.elements):
            return row, None
        mended = hand.copy()
        for element in located.elements:
            mended[element.at] = element.difference
        return row, mended

    def _lines(self, number: int) -> Callable[[np.ndarray], Line]:
        return lambda direction: self.case.line({number: direction}, loss=self.loss)


def _of_kink(row: LeafReport, found: AtKink, by_autodiff: bool) -> LeafReport:
    same = row.verdict == "pass" and not found.reason
    said = row.referees | {"differences": found.verdict, "taylor": "-"}
    if not same:
        said |= {"autodiff": "-", "float64": "-"}
    if by_autodiff and row.verdict == "fail" and found.verdict == "fail":
        said["autodiff"] = "fail"
    return row._replace(verdict=found.verdict, reason=found.reason, referees=said)
