"""The homework's derivation as code: every equation proven, every erratum checked."""

from jax_backprop.derivation.errata import Finding, find_errata
from jax_backprop.derivation.proofs import EQUATIONS, Proof, prove_all
from jax_backprop.derivation.proofs import STEPS as PROOF_STEPS
from jax_backprop.derivation.steps import StepReport, StepsReport, check_steps
from jax_backprop.derivation.verdict import Verdict, conclude
from jax_backprop.derivation.worked import Worked, work_through

__all__ = [
    "EQUATIONS",
    "PROOF_STEPS",
    "Finding",
    "Proof",
    "StepReport",
    "StepsReport",
    "Verdict",
    "Worked",
    "check_steps",
    "conclude",
    "find_errata",
    "prove_all",
    "work_through",
]
