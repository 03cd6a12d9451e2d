"""The referee: compares any hand-written gradient with autodiff, differences and Taylor slopes."""

from jax_backprop.gradcheck.agreement import Distance, distance
from jax_backprop.gradcheck.referee import LeafReport, Report, check_value_and_grad

__all__ = ["Distance", "LeafReport", "Report", "check_value_and_grad", "distance"]
