"""Data sets by name: every one becomes a ``Dataset`` of checked arrays on the host.

The names below are imported on first use: preparing a set needs no JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax_backprop.lazy import lazy

if TYPE_CHECKING:
    from jax_backprop.data.embedded import load_digits
    from jax_backprop.data.features import check_features
    from jax_backprop.data.labels import check_batch, check_labels
    from jax_backprop.data.loading import load_dataset
    from jax_backprop.data.names import name_with, parse_name
    from jax_backprop.data.preparation import prepare
    from jax_backprop.data.splits import make_dataset

__all__ = [
    "check_batch",
    "check_features",
    "check_labels",
    "load_dataset",
    "load_digits",
    "make_dataset",
    "name_with",
    "parse_name",
    "prepare",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "features": ("check_features",),
        "labels": ("check_batch", "check_labels"),
        "embedded": ("load_digits",),
        "loading": ("load_dataset",),
        "names": ("name_with", "parse_name"),
        "preparation": ("prepare",),
        "splits": ("make_dataset",),
    },
)
