"""A network of one's own, named by its import path: made for data, and recognised again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.importing import imported
from jax_backprop.storage import sha256
from jax_backprop.training.checkpoint import environment, plain_leaves, restored
from jax_backprop.training.learner import loss_alone, role_keys
from jax_backprop.types import Batch, Dataset, OwnNetwork

if TYPE_CHECKING:
    from jax_backprop.training.model import Model


def imported_network(path: str, data: Dataset) -> OwnNetwork:
    """Return the network that a function of the user's makes of data.

    Raises:
      InputError: a function that isn't there or fails, or makes something else.

    Example:
      >>> import jax_backprop as jb
      >>> imported_network("math:hypot", jb.load_dataset("noise:8,4,2"))
      Traceback (most recent call last):
      ...
      jax_backprop.errors.InputError: network 'math:hypot': got TypeError: hypot expected ...
    """
    try:
        made = imported(path)(data)
    except InputError:
        raise
    except Exception as error:  # whatever a function of the user's raises
        raise InputError(
            f"network {path!r}",
            got=f"{type(error).__name__}: {error}",
            expected="a network made of the data, which is its only argument",
            remedy="Mend that function.",
        ) from error
    parts: Any = {name: getattr(made, name, None) for name in OwnNetwork._fields}
    if not all(callable(parts[name]) for name in ("init", "value_and_grad")):
        raise InputError(
            f"network {path!r}",
            got=f"a {type(made).__name__}",
            expected="something with init and value_and_grad, as jb.from_functions makes",
            remedy="Return jb.from_flax(...), jb.from_equinox(...) or jb.from_functions(...).",
        )
    return OwnNetwork(**parts)


def computed(network: OwnNetwork, params: Any, data: Dataset) -> dict[str, Any]:
    """Return what a network computes of an example, hashed with every constant in it, and where."""
    example = data.train.take(slice(1))
    example = example._replace(inputs=data.scaling.apply(jnp.asarray(example.inputs)))
    told = network.evaluate or loss_alone(network.value_and_grad)

    def outputs(params: Any, batch: Batch) -> Any:
        return None if network.apply is None else network.apply(params, batch.inputs)

    programs = [jax.jit(each).lower(params, example).as_text() for each in (told, outputs)]
    return {"program": sha256("".join(programs).encode()), **environment()}


def with_network(model: Model, data: Dataset) -> Model:
    """Return a loaded model whole: one's own network made again, of the data that it was made of.

    Raises:
      InputError: its function can't be imported, or makes another network than was trained.
    """
    path = model.run.network
    if path is None:
        return model
    network, what = imported_network(path, data), f"network {path!r}"
    params = _filled(network.init(role_keys(model.run.seed).init), model.params, what)
    found = computed(network, params, data)
    if [name for name in found if found[name] != model.program.get(name)] == ["program"]:
        raise InputError(
            what,
            got="another computation than the one that was trained",
            expected="the function as it was, with the same data",
            remedy="Restore it, or train again into another folder.",
        )
    return model._replace(network=network, params=params)


def named_leaves(params: Any) -> dict[str, np.ndarray]:
    """Return a tree's arrays by their paths, as layer factors name them."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return dict(zip(names, plain_leaves(params), strict=True))


def _filled(template: Any, arrays: Mapping[str, np.ndarray], what: str) -> Any:
    """Return a tree like the template with these arrays; raise InputError if they are others."""
    wanted = named_leaves(template)
    for name in {**wanted, **arrays}:
        here, there = (_form(each.get(name)) for each in (wanted, arrays))
        if here != there:
            raise InputError(
                what,
                got=f"{name}: {here} from its init, {there} in the file",
                expected="the parameters that were saved",
                remedy="Restore the function as it was, or train again into another folder.",
            )
    return restored(template, tuple(arrays[name].tobytes() for name in wanted))


def _form(leaf: np.ndarray | None) -> str:
    return "none" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"
