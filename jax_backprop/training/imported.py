"""One's own network, named by its import path: made for data, recognised again; and metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError, kind_of
from jax_backprop.importing import explained, imported, keywords, traceable
from jax_backprop.metrics import METRICS
from jax_backprop.storage import sha256
from jax_backprop.training.checkpoint import environment, plain_leaves, restored
from jax_backprop.training.fingerprint import fingerprint
from jax_backprop.training.learner import loss_alone, role_keys
from jax_backprop.types import Batch, Dataset, Evaluation, OwnNetwork

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
      jax_backprop.errors.InputError: network 'math:hypot': got TypeError: ...
    """
    with explained(
        f"network {path!r}",
        expected="a network made of the data, which is its only argument",
        remedy="Mend that function.",
        passes=(InputError,),
    ):
        made = imported(path)(data)
    parts: Any = {name: getattr(made, name, None) for name in OwnNetwork._fields}
    if not all(callable(parts[name]) for name in ("init", "value_and_grad")):
        raise InputError(
            f"network {path!r}",
            got=kind_of(made),
            expected="something with init and value_and_grad, as jb.from_functions makes",
            remedy="Return jb.from_flax(...), jb.from_equinox(...) or jb.from_functions(...).",
        )
    network = OwnNetwork(**parts)
    if not any(map(_takes_settings, network[:3], (1, 2, 2))):  # else a study's axes tell them
        _try(f"network {path!r}", network, data)
    return network


def _takes_settings(function: Any, known: int) -> bool:
    """Tell whether a function has to be told more than so many arguments."""
    if function is None:
        return False
    parameters = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [each for each in parameters if each.default is each.empty and each.kind not in kinds]
    return len(needed) > known


def _try(what: str, network: OwnNetwork, data: Dataset) -> None:
    """Raise InputError unless a network can be traced on examples, is pure, and fits the data."""
    key, batch = jax.random.key(0), _examples(data, 2)
    keyed = {"key": key} if "key" in keywords(network.value_and_grad) else {}
    gradient, evaluate = partial(network.value_and_grad, **keyed), network.evaluate
    with traceable(what):
        params = jax.eval_shape(network.init, key)
        traced = [
            (
                fingerprint("init", _anew(network.init), key),
                fingerprint("loss", _anew(gradient), params, batch),
            )
            for _ in range(2)
        ]
        outputs = network.apply and jax.eval_shape(network.apply, params, batch.inputs)
        _ = evaluate and jax.eval_shape(evaluate, params, batch)
    if traced[0] != traced[1]:
        raise InputError(
            what,
            got="another computation each time that it is traced",
            expected="pure functions, which depend on their arguments alone",
            remedy="Take random numbers from the key, and keep state in jb.Stateful.",
        )
    if network.loss and outputs is not None and outputs.shape[-1] < data.classes:
        raise InputError(
            what,
            got=f"outputs of shape {outputs.shape}",
            expected=f"one for each of the {data.classes} classes",
            remedy="Mend the last layer: data.outputs tells how many.",
        )


def _anew(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that JAX hasn't traced yet."""

    def run(*args: Any) -> Any:
        return function(*args)

    return run


def _examples(data: Dataset, count: int) -> Batch:
    """Return the first examples as a network takes them."""
    first = data.train.take(slice(count))
    return first._replace(inputs=data.scaling.apply(jnp.asarray(first.inputs)))


def computed(network: OwnNetwork, params: Any, data: Dataset) -> dict[str, Any]:
    """Return what a network computes of an example, hashed with every constant in it, and where."""
    batch, apply = _examples(data, 1), network.apply
    told = network.evaluate or loss_alone(network.value_and_grad)
    texts = [fingerprint("evaluate", told, params, batch)]
    texts += [fingerprint("apply", apply, params, batch.inputs)] if apply is not None else []
    return {"program": sha256("".join(texts).encode()), **environment()}


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


def check_numbers(found: Evaluation) -> None:
    """Raise InputError for a metric of the user's that is no number where the loss is one."""
    for name, values in found.metrics.items():
        if name not in METRICS and np.any(
            np.isnan(np.asarray(values)) & np.isfinite(np.asarray(found.loss))
        ):
            raise InputError(
                f"metric {name!r}",
                got="nan at the initial parameters, where the loss is a number",
                expected="a number for each example",
                remedy="Mend it: nothing was trained.",
            )
