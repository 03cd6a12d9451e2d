"""What the referee hands back: values, which ``cli/`` and ``report/`` render."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax_backprop.errors import finite, html_table
from jax_backprop.referee.directions import Directional
from jax_backprop.referee.distances import Distance

BOTH_ZERO = "both zero"
REFEREES = ("autodiff", "float64", "differences", "taylor")


class Element(NamedTuple):
    """One wrong element: the judged value, and what the referees say (nan where they can't)."""

    at: tuple[int, ...]
    hand: float
    expected: float
    difference: float


class LeafReport(NamedTuple):
    """What the referees say of one leaf.

    Args:
      path, shape, dtype: which leaf, and the dtype that is judged.
      autodiff: hand against autodiff, both in that dtype.
      hand_error, autodiff_error: each against autodiff in float64.
      float64: hand against autodiff, both in float64.
      condition: autodiff's own distance from float64 in float32, in float32 eps: how
        ill-conditioned the point is.
      directional: the worst of the seeded directions (differences and Taylor slope, float64).
      verdict: "pass", "fail" or "undecided" (each direction meets a kink, or time ran out).
      reason: why, in a few words; empty for a plain pass.
      referees: each referee's own verdict, "-" where it couldn't be asked.
      elements: the worst of a failing leaf's elements; of one that passes, none.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    autodiff: Distance
    hand_error: Distance
    autodiff_error: Distance
    float64: Distance
    condition: float
    directional: Directional
    verdict: str
    reason: str
    referees: dict[str, str]
    elements: tuple[Element, ...] = ()

    @property
    def apart(self) -> Distance:
        """The distance that is shown: from float64 if it is known, else from autodiff."""
        return self.hand_error if self.hand_error.measured else self.autodiff


class Complaint(NamedTuple):
    """What is wrong before any numbers: ``kind`` is structure, shape, dtype, nondeterminism ..."""

    kind: str
    message: str


class Law(NamedTuple):
    """One law that a backward pass keeps: its verdict, and by how much it is broken."""

    name: str
    verdict: str
    error: float
    reason: str


class Diagnosis(NamedTuple):
    """The most likely bug.

    Args:
      bug: its name, one of ``referee.BUGS``, or what is wrong in one of the loss's equations.
      meaning: what that is, and where to look.
      leaves: the paths that it explains.
      evidence: the measurement that speaks for it.
      residual: relative distance of the judged gradient from what this bug would give.
      place: the loss's equation with the user's file and line, where it is known.
      line: the user's own line.
    """

    bug: str
    meaning: str
    leaves: tuple[str, ...]
    evidence: str
    residual: float
    place: str = ""
    line: str = ""

    def __str__(self) -> str:
        if self.place:
            said = f"{self.meaning}, in `{self.line}`" if self.line else self.meaning
            return f"{said} ({self.evidence})" if self.evidence else said
        return f"{self.bug}: {self.meaning} ({self.evidence}; in {', '.join(self.leaves)})"


class Report(NamedTuple):
    """All leaves of one gradient; with a value, the loss among them as leaf ``loss``.

    Args:
      rows: a row a leaf; empty after a complaint.
      complaint: what is wrong before any numbers.
      diagnosis: of a failure, the most likely bug first.
      laws: of ``check_vjp``.
      notes: what couldn't be asked, and why.
      seconds: how long it took.

    Example:
      >>> import jax.numpy as jnp
      >>> import jax_backprop as jb
      >>> report = jb.check_gradient(lambda x: jnp.sum(x**3), lambda x: 3 * x**2, jnp.ones(2))
      >>> report.passed, len(report.rows)
      (True, 1)
    """

    rows: tuple[LeafReport, ...]
    complaint: Complaint | None = None
    diagnosis: tuple[Diagnosis, ...] = ()
    laws: tuple[Law, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Everything that was judged is right, and nothing is undecided."""
        return self.verdict == "pass"

    @property
    def verdict(self) -> str:
        """Say "pass"; "fail" if anything does; else "undecided" if anything is.

        Where every gradient is zero nothing was compared: that is undecided too.
        """
        verdicts = [each.verdict for each in (*self.rows, *self.laws)]
        if self.complaint is not None or "fail" in verdicts:
            return "fail"
        leaves = [row for row in self.rows if row.path.split(": ")[-1] != "loss"]
        nothing = all(row.reason == BOTH_ZERO for row in leaves)
        return "undecided" if "undecided" in verdicts or nothing else "pass"

    def at_point(self, number: int) -> Report:
        """Return the report with its paths named after one of several points."""
        rows = [row._replace(path=f"point {number}: {row.path}") for row in self.rows]
        laws = [law._replace(name=f"point {number}: {law.name}") for law in self.laws]
        wrong = self.complaint
        if wrong is not None:
            wrong = wrong._replace(message=f"point {number}: {wrong.message}")
        return self._replace(rows=tuple(rows), laws=tuple(laws), complaint=wrong)

    @staticmethod
    def of_all(reports: Sequence[Report]) -> Report:
        """Return one report of several points."""
        return Report(
            tuple(row for each in reports for row in each.rows),
            complaint=next((each.complaint for each in reports if each.complaint), None),
            diagnosis=tuple(bug for each in reports for bug in each.diagnosis),
            laws=tuple(law for each in reports for law in each.laws),
            notes=tuple(dict.fromkeys(note for each in reports for note in each.notes)),
            seconds=sum(each.seconds for each in reports),
        )

    def summary(self) -> str:
        """Say in one line how many leaves pass."""
        if self.complaint:
            return f"verdict: FAIL ({self.complaint.kind}) in {self.seconds:.1f} s"
        verdicts = [row.verdict for row in self.rows]
        counts = {name: verdicts.count(name) for name in ("pass", "fail", "undecided")}
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        shown = "FAIL" if self.verdict == "fail" else self.verdict
        return f"verdict: {shown} ({len(self.rows)} leaves: {listed}) in {self.seconds:.1f} s"

    def text(self) -> str:
        """Return the whole report as plain text: what ``assert_gradient`` raises."""
        lines = [self.summary()]
        if self.rows:
            lines += ["", *_aligned([list(HEADS), *(cells(row) for row in self.rows)])]
        return "\n".join([*lines, *self.remarks()])

    def remarks(self) -> list[str]:
        """Return what stands beside the table, a line each: complaint, laws, likely bugs, notes."""
        lines = [f"{self.complaint.kind}: {self.complaint.message}"] if self.complaint else []
        lines += [
            f"{law.name}: {law.verdict} (off by {law.error:.1e}) {law.reason}".rstrip()
            for law in self.laws
        ]
        lines += [f"likely bug: {each}" for each in self.diagnosis]
        return lines + [f"note: {note}" for note in self.notes]

    def _repr_html_(self) -> str:
        """Return the verdict, a row a leaf, and what stands beside them, for a notebook."""
        said = [self.summary(), *self.remarks()]
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in said)
        return lines + (html_table(HEADS, map(cells, self.rows)) if self.rows else "")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; None for what has no number."""
        plain = {
            "verdict": self.verdict,
            "summary": self.summary(),
            "complaint": self.complaint._asdict() if self.complaint else None,
            "rows": [_plain_row(row) for row in self.rows],
            "laws": [law._asdict() for law in self.laws],
            "diagnosis": [each._asdict() for each in self.diagnosis],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }
        return finite(plain)


HEADS = ("leaf", "shape", "dtype", "r2", "rinf", "worst at", "judged", "expected")
HEADS += (*REFEREES, "verdict", "why")


def cells(row: LeafReport) -> list[str]:
    """Return a leaf's row of the table."""
    apart = row.apart
    if apart.measured:
        judged, expected = apart.worst_values
        numbers = [f"{apart.r2:.1e}", f"{apart.rinf:.1e}", _index(apart.worst_index)]
        numbers += [f"{judged:.6g}", f"{expected:.6g}"]
    elif row.elements:
        worst = row.elements[0]
        numbers = ["-", "-", _index(worst.at), f"{worst.hand:.6g}", f"{worst.difference:.6g}"]
    else:
        numbers = ["-"] * 5
    return [
        row.path,
        "x".join(map(str, row.shape)) or "scalar",
        row.dtype,
        *numbers,
        *(row.referees.get(name, "-") for name in REFEREES),
        row.verdict,
        row.reason,
    ]


def _index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else "-"


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _plain_row(row: LeafReport) -> dict[str, Any]:
    plain = row._asdict()
    for name in ("autodiff", "hand_error", "autodiff_error", "float64", "directional"):
        plain[name] = plain[name]._asdict()
    plain["elements"] = [element._asdict() for element in row.elements]
    return plain


def raise_unless_passed(report: Report, allow_undecided: bool = False) -> None:
    """Raise AssertionError with a report's text unless it passed or may be undecided and is."""
    __tracebackhide__ = True
    if not report.passed and not (allow_undecided and report.verdict == "undecided"):
        raise AssertionError(report.text())
