"""What the proofs and the errata come to, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jax_backprop.derivation.errata import Finding
from jax_backprop.derivation.proofs import Proof


class Verdict(NamedTuple):
    """Whether everything holds, and what was found, a line a subject."""

    passed: bool
    lines: tuple[str, ...]


def conclude(proofs: Sequence[Proof], findings: Sequence[Finding]) -> Verdict:
    """Sum up what is proven, the largest residuals, and how many errata are confirmed."""
    homework = [proof for proof in proofs if not proof.equation.batch]
    added = [proof for proof in proofs if proof.equation.batch]
    checked = [finding for finding in findings if finding.evidence is not None]
    confirmed = sum(finding.confirmed for finding in checked)
    failed = [proof.equation.label for proof in proofs if not proof.passed]
    failed += [f"erratum {each.erratum.where}" for each in checked if not each.confirmed]
    passed = bool(proofs) and bool(checked) and not failed
    lines = [
        f"{len(homework)} equations: {_definitions(homework)} definitions evaluated, "
        f"{_proven(homework)}; {len(added)} additions (N examples, biases, update): "
        f"{_proven(added)}",
        f"largest residuals: autodiff {_worst(proofs, 'autodiff'):.0e}, differences "
        f"{_worst(proofs, 'differences'):.0e}, the training code {_worst(proofs, 'code'):.0e}",
        f"{len(checked)} errata with a check: {confirmed} confirmed; "
        f"{len(findings) - len(checked)} told by reading",
    ]
    if failed:
        lines.append(f"FAIL: {', '.join(failed)}")
    return Verdict(passed, tuple(lines))


def _definitions(proofs: Sequence[Proof]) -> int:
    return sum(proof.equation.left is None and proof.passed for proof in proofs)


def _proven(proofs: Sequence[Proof]) -> str:
    proven = sum(proof.equation.left is not None and proof.passed for proof in proofs)
    return f"{proven} proven x 3 (sympy, autodiff, differences)"


def _worst(proofs: Sequence[Proof], method: str) -> float:
    return max((getattr(proof, method) or 0.0 for proof in proofs), default=0.0)
