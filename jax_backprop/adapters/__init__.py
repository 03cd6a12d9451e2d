"""Networks of other libraries, and plain functions, as what ``fit``, ``sweep`` and others take."""

from jax_backprop.adapters.functions import from_functions
from jax_backprop.adapters.libraries import from_equinox, from_flax

__all__ = ["from_equinox", "from_flax", "from_functions"]
