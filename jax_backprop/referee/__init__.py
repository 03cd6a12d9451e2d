"""The referee: judges any hand-written gradient, and names the likely bug of a wrong one."""

from jax_backprop.referee.checks import (
    assert_gradient,
    assert_value_and_grad,
    check_gradient,
    check_value_and_grad,
)
from jax_backprop.referee.distances import Distance, distance
from jax_backprop.referee.naming.patterns import GENERAL_BUGS as BUGS
from jax_backprop.referee.report import Complaint, Diagnosis, Law, LeafReport, Report
from jax_backprop.referee.rules import assert_jvp, assert_vjp, check_jvp, check_vjp
from jax_backprop.referee.torch_modules import assert_torch, check_torch

__all__ = [
    "BUGS",
    "Complaint",
    "Diagnosis",
    "Distance",
    "Law",
    "LeafReport",
    "Report",
    "assert_gradient",
    "assert_jvp",
    "assert_torch",
    "assert_value_and_grad",
    "assert_vjp",
    "check_gradient",
    "check_jvp",
    "check_torch",
    "check_value_and_grad",
    "check_vjp",
    "distance",
]
