"""The homework's derivation as code: every equation proven, every erratum checked.

The names below are imported on first use: a worked example needs no sympy, proofs do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.derivation.errata import Finding, find_errata
    from jax_backprop.derivation.proofs import EQUATIONS, PROOF_STEPS, Proof, prove_all
    from jax_backprop.derivation.verdict import Verdict, conclude
    from jax_backprop.derivation.worked import Worked, work_through

__all__ = [
    "EQUATIONS",
    "PROOF_STEPS",
    "Finding",
    "Proof",
    "Verdict",
    "Worked",
    "conclude",
    "find_errata",
    "prove_all",
    "work_through",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "errata": ("Finding", "find_errata"),
        "proofs": ("EQUATIONS", "PROOF_STEPS", "Proof", "prove_all"),
        "verdict": ("Verdict", "conclude"),
        "worked": ("Worked", "work_through"),
    },
)
