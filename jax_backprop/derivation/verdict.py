"""What the proofs and the errata come to, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jax_backprop.derivation.errata import Finding
from jax_backprop.derivation.proofs import SYMBOLIC_EXAMPLES, SYMBOLIC_SIZES, Proof

PARTS = (
    ("Forward", ("1", "2", "3", "4", "5")),
    ("Gradient of the output layer", tuple(str(number) for number in range(6, 17))),
    ("Gradient of the hidden layer", tuple(str(number) for number in range(17, 22))),
    ("What the homework leaves out", ("5N", "14N", "16N", "bk", "18N", "19N", "21N", "bh", "U")),
)


class Verdict(NamedTuple):
    """Whether everything holds, and what was found, a line a subject."""

    passed: bool
    lines: tuple[str, ...]


def conclude(proofs: Sequence[Proof], findings: Sequence[Finding]) -> Verdict:
    """Sum up what is proven, at which sizes, the largest residuals, and the errata.

    Example:
      >>> conclude([], []).passed  # nothing proven is no proof
      False
    """
    homework = [proof for proof in proofs if not proof.equation.batch]
    added = [proof for proof in proofs if proof.equation.batch]
    held = [proof for proof in proofs if proof.program == 0]
    checked = [finding for finding in findings if finding.evidence]
    failed = [proof.equation.label for proof in proofs if not proof.passed]
    failed += [f"erratum {each.erratum.where}" for each in findings if not each.confirmed]
    passed = bool(proofs) and bool(checked) and not failed
    lines = [
        f"{len(homework)} equations: {_counts(homework)}; {len(added)} additions (N examples, "
        f"biases, update): {_counts(added)}",
        f"sympy proves for all numbers at fixed sizes: {symbolic_sizes()}",
        f"the training code: {len(held)} of {len(proofs)} equations are what its program gives "
        "there, for every one-hot label",
        f"largest residuals in float64: autodiff {_worst(proofs, 'autodiff'):.0e}, differences "
        f"{_worst(proofs, 'differences'):.0e}, the training code {_worst(proofs, 'code'):.0e}",
        f"{len(findings)} errata, each quoted from the homework: {len(checked)} with checks that "
        f"fail as printed and pass as corrected, {len(findings) - len(checked)} told by reading",
    ]
    if failed:
        lines.append(f"FAIL: {', '.join(failed)}")
    return Verdict(passed, tuple(lines))


def symbolic_sizes() -> str:
    """Return at which sizes sympy proves, in words."""
    one, several = (sizes_text(SYMBOLIC_SIZES[batch]) for batch in (False, True))
    return f"{one}; of {SYMBOLIC_EXAMPLES} examples {several}"


def sizes_text(sizes: Sequence[tuple[int, int, int]]) -> str:
    """Return sizes as "d, H, K = 2, 3, 4 and 2, 2, 2"."""
    return "d, H, K = " + " and ".join(", ".join(map(str, each)) for each in sizes)


def parts(proofs: Sequence[Proof]) -> list[tuple[str, list[Proof]]]:
    """Return the proofs under the titles of the derivation's parts."""
    return [
        (title, [proof for proof in proofs if proof.equation.label in labels])
        for title, labels in PARTS
    ]


def residual_text(value: float | int) -> str:
    """Return a residual by its size; 0 where it is exactly that."""
    return f"{value:.0e}" if value else "0"


def _counts(proofs: Sequence[Proof]) -> str:
    definitions = sum(proof.equation.left is None and proof.passed for proof in proofs)
    proven = sum(proof.equation.left is not None and proof.passed for proof in proofs)
    plural = "" if definitions == 1 else "s"
    return (
        f"{definitions} definition{plural} evaluated, {proven} proven x 3 (sympy, autodiff, "
        "differences)"
    )


def _worst(proofs: Sequence[Proof], method: str) -> float:
    return max((getattr(proof, method) or 0.0 for proof in proofs), default=0.0)
