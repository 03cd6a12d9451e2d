"""One offline page of the derivation: typeset equations beside their code, proofs and errata."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from jax_backprop.derivation import Finding, Proof, Worked, conclude
from jax_backprop.derivation.proofs import AUTODIFF_GATE, DIFFERENCES_GATE, EXAMPLES, SIZES
from jax_backprop.derivation.verdict import parts, residual_text, sizes_text, symbolic_sizes
from jax_backprop.report.notation import mathml, sentence_mathml
from jax_backprop.report.policy import content_security_policy
from jax_backprop.storage import write_atomic

GENERATOR = '<meta name="generator" content="jax-backprop derive">'
LIGHT, DARK = "default", "github-dark"  # Pygments styles


def write_derivation(
    proofs: Sequence[Proof], findings: Sequence[Finding], worked: Worked, path: Path
) -> None:
    """Write the page; it holds everything, so that it opens offline, and runs no script."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template.filters |= {
        "mathml": mathml,
        "sentence": sentence_mathml,
        "code": code_html,
        "residual": residual_text,
    }
    source = files("jax_backprop.report").joinpath("derivation.html.j2").read_text("utf-8")
    page = template.from_string(source).render(
        generator=Markup(GENERATOR),
        policy=content_security_policy(),
        styles=Markup(_code_styles()),
        verdict=conclude(proofs, findings),
        parts=[
            (title, [_entry(proof, findings) for proof in each]) for title, each in parts(proofs)
        ],
        findings=findings,
        worked=worked,
        worked_parts=[
            (part, list(lines)) for part, lines in groupby(worked.lines, lambda line: line.part)
        ],
        facts=_facts(),
    )
    write_atomic(path, page)


def is_our_page(path: Path) -> bool:
    """Tell whether a file is a page that ``write_derivation`` wrote."""
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(2000)
    except OSError:
        return False


def code_html(text: str) -> Markup:
    """Return Python as HTML, coloured by classes."""
    formatter = HtmlFormatter(nowrap=True)
    return Markup(highlight(text, PythonLexer(), formatter).rstrip())


def _entry(proof: Proof, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what the page shows of one equation."""
    equation = proof.equation
    own = [(each.erratum, each.of_equation(equation.label)) for each in findings]
    return {
        "proof": proof,
        "equation": equation,
        "findings": [(erratum, evidence) for erratum, evidence in own if evidence],
    }


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
