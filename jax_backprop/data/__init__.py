"""Data sets by name: every one becomes a ``Dataset`` of checked arrays on the host."""

from __future__ import annotations

from collections.abc import Callable

from jax_backprop.data.arrays import check_features, check_labels, make_dataset
from jax_backprop.data.digits import load_digits
from jax_backprop.errors import unknown_name
from jax_backprop.types import Dataset

__all__ = ["check_features", "check_labels", "load_dataset", "load_digits", "make_dataset"]

_LOADERS: dict[str, Callable[..., Dataset]] = {"digits": load_digits}


def load_dataset(name: str, *, split_seed: int = 0) -> Dataset:
    """Load a data set by name. Raises InputError, naming the nearest, for an unknown one."""
    if name not in _LOADERS:
        raise unknown_name("data set", name, _LOADERS)
    return _LOADERS[name](split_seed=split_seed)
