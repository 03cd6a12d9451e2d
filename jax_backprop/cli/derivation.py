"""``derive``: the homework's derivation, step by step, in a terminal or on a page."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.errors import InputError
from jax_backprop.parsing import MOST_SEED, check_number

if TYPE_CHECKING:
    from jax_backprop.derivation import Finding, Proof, Worked
    from jax_backprop.report.derivation import Study

    Proven = tuple[list[Proof], list[Finding]]


def derive(
    out: Annotated[Path | None, tyro.conf.arg(metavar="PAGE.html")] = None,
    example: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    layer_sizes: Annotated[str, tyro.conf.arg(metavar="D,H,K")] = "2,2,2",
    learning_rate: float = 0.5,
    seed: int = 0,
    study: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> None:
    """Show the derivation step by step, each equation proven; exit code 1 if one is not.

    The 21 equations of the homework, as corrected and as printed, then what it leaves out: N
    examples, biases, the update. Beside each its proofs, made now, and the code that computes it:

      sympy         elements in which the two sides' difference isn't identically 0
      autodiff      distance of the right side from JAX's Jacobian of the left, in float64
      differences   its distance from central differences, in float64
      program       elements in which it isn't identically what the program of the code that trains
                    networks gives on symbols, over every one-hot label
      code          its distance from what that code computes, in float64

    sympy's proofs hold for all numbers at the sizes that the verdict names. Then the errata: what
    is wrong as printed, quoted, each with the check that shows it. It takes about 30 seconds. With
    --example, one tiny network is worked through with numbers instead.

    Args:
      out: Write all of it, the worked example too, as one page that opens offline; an existing file
        is left alone unless it is such a page.
      example: Work one example through: forward, backward and update, a line a number.
      layer_sizes: Of the example: inputs, hidden units and classes, each up to 4.
      learning_rate: Of the example's update.
      seed: Of the example's numbers.
      study: Results of `jax-backprop sweep`, whose answer the page quotes, and links to.
    """
    from jax_backprop.derivation import work_through

    check_number("--seed", seed, 0, MOST_SEED)
    worked = work_through(parse_sizes(layer_sizes), learning_rate, seed)
    if out is not None:
        check_page(out)
    quoted = None if study is None else _answer(study, out)
    if example and out is None:
        _print_example(worked)
        return
    from jax_backprop.derivation import conclude

    proofs, findings = prove()
    verdict = conclude(proofs, findings)
    if out is None:
        _print_equations(proofs, findings)
        _print_errata(findings)
    else:
        from jax_backprop.report.derivation import write_derivation

        write_derivation(proofs, findings, worked, out, quoted)
    for line in verdict.lines:
        console.say(line)
    console.say(f"verdict: {'pass' if verdict.passed else 'FAIL'}")
    if out is not None:
        console.say(f"Page: {out}")
    if not verdict.passed:
        sys.exit(1)


def prove() -> Proven:
    """Prove every equation and check every erratum, with a progress bar."""
    from jax_backprop.derivation import PROOF_STEPS, find_errata, prove_all

    with console.progress("proofs", PROOF_STEPS + 1) as advance:
        done = 0

        def on_step(name: str) -> None:
            nonlocal done
            done += 1
            advance(done, name)

        proofs = prove_all(on_step=on_step)
        findings = find_errata()
        on_step("errata")
    return proofs, findings


def parse_sizes(text: str) -> tuple[int, ...]:
    """Read "2,2,2" (or "2 2 2") as whole numbers."""
    try:
        return tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise InputError(
            "layer sizes",
            got=repr(text),
            expected="whole numbers with commas between",
            remedy="Try 2,2,2.",
        ) from None


def _answer(folder: Path, out: Path | None) -> Study:
    """Return what a study answers, and where its report lies if it has one."""
    from jax_backprop.report.derivation import Study
    from jax_backprop.study import answer, summarize

    if out is None:
        raise InputError(
            "--study", got="no --out", expected="a page to put it on", remedy="Add --out PAGE.html."
        )
    summary, pages = summarize(folder), (folder / "report.html", folder.parent / "learn.html")
    page = next((each for each in pages if each.exists()), None)
    return Study(f"{len(summary.cells):,}", answer(summary), page)


def check_page(path: Path, maker: str = "jax-backprop derive") -> None:
    """Refuse to replace what isn't a page of this command, before anything is computed."""
    from jax_backprop.report.embedded import is_page_of

    if path.exists() and not is_page_of(path, maker):
        raise InputError(
            "output file",
            got=f"{path}, which holds something else",
            expected="a new file, or a page that this command wrote",
            remedy="Name another.",
        )


def _print_equations(proofs: list[Proof], findings: list[Finding]) -> None:
    from rich.text import Text

    from jax_backprop.derivation.verdict import parts

    for title, chosen in parts(proofs):
        console.out.print(Text(f"\n{title}\n", style="bold underline"))
        for proof in chosen:
            _print_equation(proof, findings)


def _print_equation(proof: Proof, findings: list[Finding]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from jax_backprop.derivation.notation import plain, sentence_text

    def line(text: str, style: str = "", indent: int = 5) -> None:
        console.out.print(Padding(Text(text, style=style), (0, 0, 0, indent), expand=False))

    equation = proof.equation
    printed, corrected = plain(equation.printed), plain(equation.corrected)
    console.out.print(Text.assemble((f"({equation.label}) ", "bold cyan"), equation.title))
    line(corrected, "bold")
    if printed and printed != corrected:
        line(f"printed: {printed}", "red")
    for finding in findings:
        for evidence in finding.of_equation(equation.label):
            line(f"{finding.erratum.kind}: {sentence_text(evidence.text)}", "red dim")
    line(equation.why, "italic")
    line(residuals(proof), "green" if proof.passed else "red")
    for source in equation.sources:
        line(f"{source.file}:{source.line}", "dim")
        line(source.text, "dim", indent=7)
    console.out.print()


def residuals(proof: Proof) -> str:
    """Return a proof's figures in a line."""
    from jax_backprop.derivation.verdict import residual_text

    shown = [f"{'proven' if proof.passed else 'NOT PROVEN'}:"]
    for name in ("symbolic", "autodiff", "differences", "program", "code"):
        if (value := getattr(proof, name)) is not None:
            shown.append(f"{name.replace('symbolic', 'sympy')} {residual_text(value)}")
    if proof.equation.left is None:
        shown[0] = "definition:"
    return "  ".join(shown)


def _print_errata(findings: list[Finding]) -> None:
    from jax_backprop.cli.tables import Table
    from jax_backprop.derivation.notation import sentence_text

    rows = []
    for finding in findings:
        erratum = finding.erratum
        found = "\n".join(sentence_text(each.text) for each in finding.evidence) or "by reading"
        if not finding.confirmed:
            found = f"NOT CONFIRMED: {' '.join(finding.misquoted)} {found}"
        printed, correct = sentence_text(erratum.printed), sentence_text(erratum.correct)
        rows.append([erratum.where, printed, correct, erratum.kind, found])
    heads = ("where", "as printed", "should be", "check", "found")
    title = "errata: wrong, loose or missing as printed"
    console.out.print(Table(heads, rows, title=title, texts=heads))


def _print_example(worked: Worked) -> None:
    from rich.text import Text

    from jax_backprop.derivation.notation import plain, sentence_text

    console.say(sentence_text(worked.setting))
    for part, lines in groupby(worked.lines, key=lambda line: line.part):
        console.out.print(Text(f"\n{part}", style="bold underline"))
        for line in lines:
            console.out.print(
                Text.assemble((f"{f'({line.label})':>6} ", "cyan"), plain(line.latex))
            )
