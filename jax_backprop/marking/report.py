"""What ``check_steps`` found: sentences at three levels, pictures of where an array is wrong."""

from __future__ import annotations

import html
from typing import NamedTuple

import numpy as np

from jax_backprop.marking import equations
from jax_backprop.marking.judging import Hypothesis, Judged
from jax_backprop.marking.patterns import wrong_places

LEVELS = ("where", "what", "how")
WIDE, HIGH = 48, 16  # of a picture: beyond that a part is shown
SHOWN = 1e-5  # relative distance from which an element is marked
_WORDS = {
    "X": "the inputs",
    "L": "the labels",
    "Z": "the pre-activations Z",
    "A": "the hidden outputs",
    "Y": "the outputs Y",
    "E": "the loss",
    "dY": "dE/dZ at the outputs",
    "dW": "the gradient of the weights",
    "db": "the gradient of the biases",
    "dA": "dE/dO of a hidden layer",
    "dZ": "dE/dZ of a hidden layer",
    "newW": "the updated weights",
    "newb": "the updated biases",
}


class Mistaken(NamedTuple):
    """One mistake that gives what was handed in.

    Args:
      equation: where it was made.
      step: there, in words.
      name: a few words.
      what: what was done, a sentence.
    """

    equation: str
    step: str
    name: str
    what: str


class StepReport(NamedTuple):
    """What was found of one step.

    Args:
      step: what the student calls it.
      key: what this project calls it, such as dW1.
      equation: its number in the derivation, as (14), or (14N) for the mean over N examples.
      verdict: ``right``, ``wrong``, or ``follows``: wrong only because an earlier step is.
      line: the derivation's line.
      mistakes: those that give it, the likeliest first; none can be told from another by what was
        handed in.
      between: equations of which one is wrong, where what was handed in doesn't tell which.
      remedy: what to do, in words.
      distance: largest, relative to the largest element; nan where the shape fits nothing.
      worst_index, got, expected: where it is farthest off, and the numbers there.
      wrong_at: which elements are wrong.
    """

    step: str
    key: str
    equation: str
    verdict: str
    line: str
    mistakes: tuple[Mistaken, ...]
    between: tuple[str, ...]
    remedy: str
    distance: float
    worst_index: tuple[int, ...]
    got: float | None
    expected: float | None
    wrong_at: np.ndarray

    @property
    def mistake(self) -> str:
        """The likeliest mistake in a few words; empty where none was recognised."""
        return self.mistakes[0].name if self.mistakes else ""

    @property
    def place(self) -> str:
        """The equation where the likeliest mistake was made: the step's own, or one before it."""
        return self.mistakes[0].equation if self.mistakes else self.equation

    def hint(self, level: str = "how", *, numbers: bool = True) -> list[str]:
        """Return what to tell, a sentence each: where; what as well; how, with the numbers."""
        said = [
            f"{self.step} is the first step that is wrong: equation {self.equation}, {self.line}"
        ]
        if self.mistakes and self.place != self.equation:
            step = self.mistakes[0].step
            where = f"equation {self.place}, {step}" if "(" in self.place else step
            said = [f"{self.step} is wrong, and the mistake lies before it: {where}"]
        if LEVELS.index(level) >= 1:
            said += self._what()
        if LEVELS.index(level) >= 2:
            said.append(self.remedy)
            if numbers and self.got is not None:
                where = f"at {list(self.worst_index)}: " if self.worst_index else ""
                said.append(f"{where}got {self.got:.6g}, expected {self.expected:.6g}")
        return said

    def _what(self) -> list[str]:
        if not self.mistakes:
            said = ["No mistake that is known gives these numbers."]
            if self.between:
                places = ", ".join(self.between)
                said.append(f"It was made at one of {places}: hand in the steps there as well.")
            return said
        said = [self.mistakes[0].what]
        others = dict.fromkeys(f"{each.name} {each.equation}" for each in self.mistakes[1:])
        others.pop(f"{self.mistake} {self.place}", None)
        if others:
            more = "; ".join(list(others)[:5])
            said.append(f"Or, as it gives the same: {more}.")
        return said

    def picture(self) -> str:
        """Return a character an element: # where it is wrong."""
        table = np.atleast_2d(self.wrong_at)
        if table.sum() > table.size / 2 > 4:  # a picture of all would show nothing
            return f"wrong at {table.sum():,} of {table.size:,} elements"
        lines = ["".join(".#"[bool(each)] for each in row[:WIDE]) for row in table[:HIGH]]
        if table.shape[0] > HIGH or table.shape[1] > WIDE:
            lines.append(f"(the first of {table.shape[0]} x {table.shape[1]})")
        return "\n".join(lines)


class StepsReport(NamedTuple):
    """All steps that were handed in, in the order of the computation.

    Args:
      rows: one a step.
      assumed: conventions that were found, a sentence each.
      hints: the most that is told: where, what or how.
    """

    rows: tuple[StepReport, ...]
    assumed: tuple[str, ...]
    hints: str = "how"

    @classmethod
    def of(cls, found: Hypothesis, rows: list[Judged], hints: str, single: bool) -> StepsReport:
        """Return the report of what was judged."""
        notes = [*found.setting.notes, *found.notes, *found.handed.notes]
        for row in rows:
            if row.layout:
                notes.append(
                    f"{found.handed.called.get(row.step.name, row.step.name)}: {row.layout}"
                )
        notes += ["float32: its rounding is allowed for"] if single else []
        reports = tuple(_report(found, row) for row in rows)
        return cls(reports, tuple(dict.fromkeys(notes)), hints)

    @property
    def passed(self) -> bool:
        """Every step is right."""
        return self.first is None

    @property
    def first(self) -> StepReport | None:
        """The first step that isn't right."""
        return next((row for row in self.rows if row.verdict != "right"), None)

    def _all_right(self) -> str:
        steps = len(self.rows)
        return "the step is right" if steps == 1 else f"all {steps} steps are right"

    def text(self, hints: str | None = None, *, numbers: bool = True) -> str:
        """Return what was found and assumed, and where the array is wrong, as lines."""
        row = self.first
        if row is None:
            lines = [self._all_right()]
        else:
            level = hints or self.hints
            lines = row.hint(level, numbers=numbers)
            if level != "where" and row.wrong_at.size > 1:
                lines.append(row.picture())
        return "\n".join([*lines, *(f"assumed: {note}" for note in self.assumed)])

    def __str__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_html_(self) -> str:
        """Return a table of the steps, the hint, and the picture, for a notebook."""
        color = {"right": "#2e7d32", "wrong": "#c62828", "follows": "#8d6e00"}
        cells = "".join(
            f"<tr><td>{html.escape(row.step)}</td><td>{row.equation}</td>"
            f'<td style="text-align:left">{html.escape(row.line)}</td>'
            f'<td style="color:{color[row.verdict]}"><b>{row.verdict}</b></td></tr>'
            for row in self.rows
        )
        head = "<tr><th>step</th><th>equation</th><th>line</th><th>verdict</th></tr>"
        parts = [f"<table>{head}{cells}</table>"]
        if (row := self.first) is None:
            parts.insert(0, f"<p>{self._all_right().capitalize()}.</p>")
        else:
            said = "".join(f"<p>{html.escape(each)}</p>" for each in row.hint(self.hints))
            parts = [said, _grid(row) if self.hints != "where" else "", *parts]
        parts += [f"<p><i>assumed: {html.escape(note)}</i></p>" for note in self.assumed]
        return "\n".join(parts)


def _grid(row: StepReport) -> str:
    """Return a picture of an array as SVG: a square an element, crossed where it is wrong."""
    table = np.atleast_2d(row.wrong_at)[:HIGH, :WIDE]
    if table.size <= 1:
        return ""
    side = 14
    squares = []
    for (y, x), wrong in np.ndenumerate(table):
        place = f'x="{x * side}" y="{y * side}" width="{side - 2}" height="{side - 2}"'
        fill = "#c62828" if wrong else "#c8e6c9"
        squares.append(f'<rect {place} fill="{fill}"><title>[{y}, {x}]</title></rect>')
        if wrong:
            a, b, c = x * side + 3, y * side + 3, side - 8
            squares.append(f'<path d="M{a} {b}l{c} {c}m0 -{c}l-{c} {c}" stroke="#fff"/>')
    size = f'width="{table.shape[1] * side}" height="{table.shape[0] * side}"'
    label = html.escape(f"{int(table.sum())} of {table.size} elements of {row.step} are wrong")
    return f'<svg {size} role="img" aria-label="{label}">{"".join(squares)}</svg>'


def _mistakes(found: Hypothesis, row: Judged) -> tuple[Mistaken, ...]:
    """Return what gives a step's numbers: causes, or else what the array alone tells."""
    model, examples = found.model, len(found.setting.point["A0"])
    own = equations.label(row.step, model, examples)
    told = (own, _WORDS[row.step.kind])
    if row.pattern.name and (row.pattern.own or not row.unseen):
        return (Mistaken(*told, row.pattern.name, row.pattern.what),)
    named = tuple(
        Mistaken(
            equations.label(cause.steps[0], model, examples),
            _WORDS[cause.steps[0].kind],
            cause.mistake.name + (", in every layer" if len(cause.steps) > 1 else ""),
            cause.mistake.what,
        )
        for cause in row.causes
    )
    if row.verdict == "wrong" and row.value is not None and not row.value.any():
        named = (Mistaken(*told, "all zeros", "Every number is 0."), *named)
    return named


def _report(found: Hypothesis, row: Judged) -> StepReport:
    model, examples = found.model, len(found.setting.point["A0"])
    step, right = row.step, row.right
    between = tuple(equations.label(each, model, examples) for each in row.unseen)
    mistakes = _mistakes(found, row)
    place = row.causes[0].steps[0] if row.causes else step
    base = StepReport(
        found.handed.called.get(step.name, step.name),
        step.name,
        equations.label(step, model, examples),
        row.verdict,
        equations.line(step, model, examples),
        mistakes,
        ()
        if mistakes or not between
        else (*dict.fromkeys(between), equations.label(step, model, examples)),
        equations.remedy(place, model),
        float("nan"),
        (),
        None,
        None,
        np.zeros((0, 0), bool),
    )
    if row.value is None:
        shape = list(found.handed.unfit[step.name])
        text = f"Its shape is {shape}, where {list(right.shape)} belongs."
        return base._replace(mistakes=(Mistaken(base.equation, _WORDS[step.kind], "shape", text),))
    return _compared(base, row.value, right)


def _compared(base: StepReport, value: np.ndarray, right: np.ndarray) -> StepReport:
    """Return a step's report with the place where it is farthest off."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(value - right)
        size = max(np.abs(value).max(), np.abs(right).max(), 1e-300)
        index = np.unravel_index(int(np.argmax(gap)), gap.shape)
        distance = float(gap[index] / size)
    return base._replace(
        distance=distance,
        worst_index=tuple(int(each) for each in index),
        got=float(value[index]),
        expected=float(right[index]),
        wrong_at=wrong_places(value, right, SHOWN),
    )
