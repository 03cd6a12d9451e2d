"""Factors of the learning rate, one a layer: the children of the parameters, by name or place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jax_backprop.errors import InputError, unknown_name

FACTOR = "layer_factors."  # and a child's name: one of these settings


def layer_factors(
    shapes: Any, fixed: Sequence[float] | Mapping[str, float] | None, hyper: Mapping[str, Any]
) -> Callable[[Any, Mapping[str, Any]], Any]:
    """Return ``(params, hyper) -> factors`` of each layer: the children of the parameters.

    The children of a dictionary or NamedTuple go by their names, of a sequence by their indices.

    Args:
      shapes: of the parameters.
      fixed: factors of the layers that no axis changes; None for 1.
      hyper: whose names tell the axes.
    """
    children, structure = jax.tree_util.tree_flatten_with_path(
        shapes, is_leaf=lambda node: node is not shapes
    )
    names = [jax.tree_util.keystr(path, simple=True) for path, _ in children]
    if fixed is not None and not isinstance(fixed, Mapping):
        if len(fixed) != len(names):
            raise InputError(
                "layer_factors",
                got=f"{len(fixed)} factors",
                expected=f"{len(names)}, one for each layer of this network",
                remedy="Layers are counted from the inputs.",
            )
        if names != [str(index) for index in range(len(names))]:
            raise InputError(
                "layer_factors",
                got="a sequence of factors",
                expected=f"factors by name: {', '.join(names)}",
                remedy="Give {name: factor}.",
            )
        fixed = dict(zip(names, fixed, strict=True))
    chosen = {name.removeprefix(FACTOR) for name in hyper if name.startswith(FACTOR)}
    for name in (*chosen, *(fixed or {})):
        if name not in names:
            raise unknown_name("layer of layer_factors", name, names)
    defaults = {**dict.fromkeys(names, 1.0), **(fixed or {})}

    def factors(_: Any, hyper: Mapping[str, Any]) -> Any:
        if not chosen and fixed is None:
            return None
        found = [hyper.get(f"{FACTOR}{name}", default) for name, default in defaults.items()]
        return jax.tree.unflatten(structure, found)

    return factors


def factors_of(params: Any, given: Any) -> Any:
    """Return factors as a tree beside the parameters.

    Args:
      params: of the network.
      given: a number for each child, as a sequence or by name; None for 1. Anything else is taken
        as it is: a tree of factors for leaves or subtrees.

    Raises:
      InputError: another number of them than layers, or a name that is no layer's.
    """
    values = given.values() if isinstance(given, Mapping) else given
    numbers = isinstance(given, Mapping | list | tuple) and all(
        isinstance(each, int | float) for each in values
    )
    return layer_factors(params, given, {})(params, {}) if numbers else given
