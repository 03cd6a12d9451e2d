"""RIGHT gradients that a careless checker might refuse: (name, loss, gradient, params, args).

The third entry returns the gradient, or (value, gradient) where the name ends in
"value_and_grad".  Gradients are written by hand unless the case is about a transformation.
KINK: a valid subgradient, which need not be jax.grad's.  FLOAT32: float32 parameters.
"""
import right_algebra  # noqa: F401
import right_float32  # noqa: F401
import right_kinks  # noqa: F401
import right_implicit  # noqa: F401
import right_transformations  # noqa: F401
import right_linear_algebra  # noqa: F401
import right_fourier  # noqa: F401
import right_indexing  # noqa: F401
import right_odd_parameters  # noqa: F401
from case import CASES, DETACHED, FLOAT32, KINK, TOLERANCE  # noqa: F401

RIGHT = [build() for build in CASES]
