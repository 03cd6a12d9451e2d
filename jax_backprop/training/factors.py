"""What a learning rate is multiplied by: the reduction's factor, and each layer's."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

import jax

from jax_backprop.errors import InputError, unknown_name
from jax_backprop.fields import ReductionName

LAYER_PREFIX = "layer_factors."  # and a layer's name: one of these settings


def reduction_factor(reduction: object, examples: int) -> int:
    """Return the rate on the mean loss over the rate on this reduction of it.

    A gradient of the sum over a batch is the batch size times the gradient of the mean.

    Raises InputError for a reduction that isn't one.
    """
    known = get_args(ReductionName)
    if reduction not in known:
        raise unknown_name("reduction", str(reduction), known)
    return examples if reduction == "sum" else 1


def layer_factors(
    shapes: Any, fixed: Any, hyper: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], Any]:
    """Return ``hyper -> factors`` of each layer: the children of the parameters, or paths to parts.

    The children of a dictionary or NamedTuple go by their names, of a sequence by their indices. A
    path such as "blocks.*.norm" is of all arrays below it, "*" of any one name; the factors of
    several paths that an array lies below are multiplied.

    Args:
      shapes: the parameters, or their shapes.
      fixed: a number for each child, as a sequence or by name or path, or a tree of factors for
        leaves or subtrees; None for 1.
      hyper: whose names tell which are traced instead, "layer_factors.0" and the like.

    Raises:
      InputError: another number of them than layers, or a name that is no layer's.
    """
    children, structure = jax.tree_util.tree_flatten_with_path(
        shapes, is_leaf=lambda node: node is not shapes
    )
    names = [jax.tree_util.keystr(path, simple=True) for path, _ in children]
    chosen = {name.removeprefix(LAYER_PREFIX) for name in hyper if name.startswith(LAYER_PREFIX)}
    if isinstance(fixed, list | tuple) and _are_numbers(fixed):
        given: Mapping[str, Any] = _by_place(names, fixed)
    elif fixed is None or (isinstance(fixed, Mapping) and _are_numbers(fixed.values())):
        given = fixed or {}
    else:
        given = dict(zip(names, structure.flatten_up_to(fixed), strict=True))
    if not {*chosen, *given} <= set(names):
        return _by_path(shapes, given, chosen)
    defaults = {**dict.fromkeys(names, 1.0), **given}

    def factors(hyper: Mapping[str, Any]) -> Any:
        if not chosen and fixed is None:
            return None
        found = [hyper.get(f"{LAYER_PREFIX}{name}", each) for name, each in defaults.items()]
        return jax.tree.unflatten(structure, found)

    return factors


def _by_path(
    shapes: Any, given: Mapping[str, Any], chosen: set[str]
) -> Callable[[Mapping[str, Any]], Any]:
    """Return ``hyper -> factors``, one a leaf, of paths to any part of the parameters."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    below = {name: [_lies_below(path, name) for path in paths] for name in (*given, *chosen)}
    for name, found in below.items():
        if not any(found):
            known = {".".join(p.split(".")[:n]) for p in paths for n in range(1, p.count(".") + 2)}
            raise unknown_name("layer of layer_factors", name, sorted(known))

    def factors(hyper: Mapping[str, Any]) -> Any:
        found: list[Any] = [1.0] * len(paths)
        for name, where in below.items():
            factor = hyper.get(f"{LAYER_PREFIX}{name}", given.get(name, 1.0))
            found = [
                each * factor if here else each for each, here in zip(found, where, strict=True)
            ]
        return jax.tree.unflatten(structure, found)

    return factors


def _lies_below(path: str, name: str) -> bool:
    """Tell whether an array's path begins with a name's parts, "*" being any one."""
    parts, wanted = path.split("."), name.split(".")
    pairs = zip(parts, wanted, strict=False)
    return len(wanted) <= len(parts) and all(fnmatch.fnmatchcase(*pair) for pair in pairs)


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(each, int | float) for each in values)


def _by_place(names: Sequence[str], given: Sequence[float]) -> dict[str, float]:
    """Return factors of layers that are told by their place."""
    if len(given) != len(names):
        raise InputError(
            "layer_factors",
            got=f"{len(given)} factors",
            expected=f"{len(names)}, one for each layer of this network",
            remedy="Layers are counted from the inputs.",
        )
    if list(names) != [str(index) for index in range(len(names))]:
        raise InputError(
            "layer_factors",
            got="a sequence of factors",
            expected=f"factors by name: {', '.join(names)}",
            remedy="Give {name: factor}.",
        )
    return dict(zip(names, given, strict=True))
