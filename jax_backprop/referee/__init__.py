"""The referee: judges any hand-written gradient, and names the likely bug of a wrong one."""

from jax_backprop.referee.agreement import Distance, distance
from jax_backprop.referee.general_bugs import GENERAL_BUGS
from jax_backprop.referee.network_bugs import NETWORK_BUGS
from jax_backprop.referee.network_location import LOCATIONS
from jax_backprop.referee.report import Complaint, Diagnosis, Law, LeafReport, Report
from jax_backprop.referee.verdict import (
    assert_gradient,
    assert_value_and_grad,
    check_gradient,
    check_value_and_grad,
)
from jax_backprop.referee.vjp import assert_vjp, check_vjp

BUGS = GENERAL_BUGS | NETWORK_BUGS | LOCATIONS
__all__ = [
    "BUGS",
    "Complaint",
    "Diagnosis",
    "Distance",
    "Law",
    "LeafReport",
    "Report",
    "assert_gradient",
    "assert_value_and_grad",
    "assert_vjp",
    "check_gradient",
    "check_value_and_grad",
    "check_vjp",
    "distance",
]
