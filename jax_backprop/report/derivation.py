"""One offline page of the derivation: typeset equations beside their code, proofs and errata."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from jax_backprop.derivation import Finding, Proof, Worked, conclude
from jax_backprop.derivation.batch import PARAMETERS
from jax_backprop.derivation.entries import Equation
from jax_backprop.derivation.errata import Erratum
from jax_backprop.derivation.evidence import Evidence
from jax_backprop.derivation.lessons import LESSONS, QUESTIONS, Lesson, Question
from jax_backprop.derivation.proofs import AUTODIFF_GATE, DIFFERENCES_GATE, EXAMPLES, SIZES
from jax_backprop.derivation.verdict import parts, residual_text, sizes_text, symbolic_sizes
from jax_backprop.derivation.worked import Line, fill
from jax_backprop.report.embedded import generator, script_json
from jax_backprop.report.network_drawing import network_svg
from jax_backprop.report.notation import mathml, sentence_mathml
from jax_backprop.report.templates import read, render
from jax_backprop.storage import write_atomic

LIGHT, DARK = "default", "github-dark"  # Pygments styles
STANDS_FOR = 8_000_001  # the first whole number that holds a number's place in LaTeX
EXPANSION = r"E(W - \eta G) = E - \eta \sum G^{2} + \frac{\eta^{2}}{2} G^{\top} C G + \ldots"


class Study(NamedTuple):
    """What a study answers: how many networks, its sentences, and where its report lies."""

    networks: str
    answer: Sequence[str]
    report: Path | None = None


class Part(NamedTuple):
    """A part of the derivation as the page shows it."""

    title: str
    entries: list[Entry]
    questions: tuple[Question, ...]


class Entry(NamedTuple):
    """What the page shows of one equation."""

    proof: Proof
    equation: Equation
    lesson: Lesson
    findings: list[tuple[Erratum, tuple[Evidence, ...]]]


def write_derivation(
    proofs: Sequence[Proof],
    findings: Sequence[Finding],
    worked: Worked,
    path: Path,
    study: Study | None = None,
) -> None:
    """Write the page; it holds everything, so that it opens offline."""
    filters = {
        "mathml": mathml,
        "sentence": sentence_mathml,
        "code": code_html,
        "residual": residual_text,
        "live": lambda line: live_mathml(line, worked),
    }
    by_part = [(part, list(lines)) for part, lines in groupby(worked.lines, lambda line: line.part)]
    page = render(
        "derivation.html.j2",
        [read("example.js")],
        filters=filters,
        generator=generator("jax-backprop derive"),
        title="Backpropagation, derived and proven",
        styles=Markup(_code_styles()),
        verdict=conclude(proofs, findings),
        parts=[
            Part(title, [_entry(proof, findings) for proof in each], QUESTIONS.get(title, ()))
            for title, each in parts(proofs)
        ],
        findings=findings,
        worked=worked,
        worked_parts=by_part,
        network=network_svg(worked),
        sliders=_sliders(worked),
        expansion=EXPANSION,
        study=_linked(study, path),
        facts=_facts(),
        data=Markup(script_json(_data(worked, [part for part, _ in by_part]))),
    )
    write_atomic(path, page)


def live_mathml(line: Line, worked: Worked) -> Markup:
    """Return a line of the example as MathML in which each number carries its name."""
    numbers: list[str] = []

    def hold(name: str, text: str, factor: bool) -> str:
        mark = " data-factor" if factor else ""
        numbers.append(f'<mn data-number="{name}"{mark}>{text}</mn>')
        return str(STANDS_FOR + len(numbers) - 1)

    page = str(mathml(fill(line.template, worked.values, hold)))
    for place, number in enumerate(numbers, STANDS_FOR):
        page = page.replace(f"<mn>{place}</mn>", number)
    return Markup(page)


def _linked(study: Study | None, page: Path) -> Mapping[str, object] | None:
    """Return a study with its report's address as seen from the page."""
    if study is None:
        return None
    away = study.report and os.path.relpath(study.report.resolve(), page.resolve().parent)
    return study._asdict() | {"href": away}


def _sliders(worked: Worked) -> list[tuple[str, list[tuple[str, str]], int, int]]:
    """Return what the page has sliders for: the kind, its numbers with their names, the ends."""
    weights = [
        (".".join(map(str, (name, *index))), _parameter_text(name, index))
        for name in PARAMETERS
        for index in np.ndindex(worked.values[name].shape)
    ]
    inputs = [(f"inputs.{n}", f"i{n + 1}") for n in range(len(worked.values["inputs"]))]
    return [("weight", weights, -4, 4), ("input", inputs, -4, 4)]


def _parameter_text(name: str, index: tuple[int, ...]) -> str:
    layer, _, kind = name.partition("_")
    return f"{kind[0]}{''.join(str(each + 1) for each in index)}, {layer}"


def _data(worked: Worked, parts: list[str]) -> dict[str, object]:
    names = ("inputs", "labels", *PARAMETERS)
    return {
        "point": {name: worked.values[name].tolist() for name in names},
        "learning_rate": float(worked.values["learning_rate"]),
        "parts": parts,
    }


def code_html(text: str) -> Markup:
    """Return Python as HTML, coloured by classes."""
    formatter = HtmlFormatter(nowrap=True)
    return Markup(highlight(text, PythonLexer(), formatter).rstrip())


def _entry(proof: Proof, findings: Sequence[Finding]) -> Entry:
    label = proof.equation.label
    own = [(each.erratum, each.of_equation(label)) for each in findings]
    found = [(erratum, evidence) for erratum, evidence in own if evidence]
    return Entry(proof, proof.equation, LESSONS.get(label, Lesson()), found)


def _code_styles() -> str:
    light = HtmlFormatter(style=LIGHT).get_style_defs("pre")
    dark = HtmlFormatter(style=DARK).get_style_defs("pre")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _facts() -> list[tuple[str, str]]:
    return [
        (
            "sympy",
            f"for all numbers, at fixed sizes: {symbolic_sizes()}. The figure counts the elements "
            "in which the sides' difference isn't identically 0.",
        ),
        (
            "autodiff",
            f"{sizes_text(SIZES)}, N = {EXAMPLES}, float64: the right side's distance from JAX's "
            f"Jacobian of the left side; passes up to {AUTODIFF_GATE:.1e}.",
        ),
        (
            "differences",
            "the same points, central differences extrapolated from two steps; passes up to "
            f"{DIFFERENCES_GATE:.0e}.",
        ),
        (
            "program",
            "the code that trains networks, as the list of operations that JAX traces of it, run "
            "on the same symbols at the same sizes, for every one-hot label; one network, one "
            "block of examples, exact arithmetic. The figure counts the elements in which it "
            "isn't identically the right side. (U) is the training step's, which the tests hold "
            "against it.",
        ),
        (
            "code",
            "the right side's distance from what that code gives in float64, at autodiff's "
            f"points; passes up to {AUTODIFF_GATE:.1e}.",
        ),
        (
            "distance",
            "the worse of |a - b| over max(|a|, |b|) in the 2-norm and the largest element",
        ),
        (
            "made with",
            ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy", "sympy"))
            + f", Python {platform.python_version()}",
        ),
    ]
