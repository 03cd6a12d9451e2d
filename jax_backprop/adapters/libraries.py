"""Modules of Equinox and Flax as what ``fit``, ``sweep`` and others take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jax_backprop.adapters.functions import Apply, PerExample, from_functions
from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named
from jax_backprop.importing import keywords
from jax_backprop.training import Stateful
from jax_backprop.types import OwnNetwork


@extras_named()
def from_equinox(
    make: Callable[[Array], Any], loss: str | PerExample = "softmax_cross_entropy", **options: Any
) -> OwnNetwork:
    """Return a network from a function ``key -> module`` of Equinox; the module takes one example.

    Args:
      make: such as ``lambda key: eqx.nn.MLP(64, 10, 16, 1, key=key)``. What isn't an array of
        floats is the same for every key.
      loss, options: as for ``from_functions``.

    Raises:
      MissingExtraError: Equinox isn't installed.

    Example:
      >>> import equinox as eqx
      >>> network = from_equinox(lambda key: eqx.nn.MLP(4, 3, 8, 1, key=key))
      >>> len(jax.tree.leaves(network.init(jax.random.key(0))))
      4
    """
    import equinox as eqx  # pyright: ignore[reportMissingImports]

    module = make(jax.random.key(0))
    static = eqx.partition(module, eqx.is_inexact_array)[1]

    def init(key: Array) -> Any:
        return eqx.filter(make(key), eqx.is_inexact_array)

    def apply(params: Any, inputs: Any) -> Any:
        return jax.vmap(eqx.combine(params, static))(inputs)

    def with_key(params: Any, inputs: Any, key: Array | None = None) -> Any:
        whole = eqx.combine(params, static)
        if key is None:
            return jax.vmap(eqx.nn.inference_mode(whole))(inputs)
        keys = jax.random.split(key, len(jax.tree.leaves(inputs)[0]))
        return jax.vmap(lambda example, key: whole(example, key=key))(inputs, keys)

    parts = jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, eqx.nn.Dropout))
    # A module may hold a Dropout that does nothing, as attention does, and take no key.
    drops = any(isinstance(part, eqx.nn.Dropout) for part in parts)
    takes = drops and "key" in keywords(type(module).__call__)
    return from_functions(init, with_key if takes else apply, loss, **options)


@extras_named()
def from_flax(
    module: Any,
    example: Any = None,
    loss: str | PerExample = "softmax_cross_entropy",
    **options: Any,
) -> OwnNetwork:
    """Return a network from a module of Flax: Linen, or a function ``rngs -> module`` of NNX.

    Args:
      module: ``nn.Module``, with an example of its inputs; or ``rngs -> nnx.Module``, such as an
        NNX class of one argument. It takes a batch. It may drop out and keep batch statistics; of
        Linen, where its call takes ``train`` or ``deterministic``.
      example: inputs of Linen's first call, (1, ...); None for NNX.
      loss, options: as for ``from_functions``.

    Raises:
      InputError: a module of Linen with batch statistics, that isn't told ``train``.
      MissingExtraError: Flax isn't installed.

    Example:
      >>> from flax import linen
      >>> network = from_flax(linen.Dense(3), jnp.ones((1, 4)))
      >>> network.init(jax.random.key(0))["kernel"].shape
      (4, 3)
    """
    from flax import linen  # pyright: ignore[reportMissingImports]

    if isinstance(module, linen.Module):
        return from_functions(*_linen(module, example), loss, **options)
    return from_functions(*_nnx(module), loss, **options)


def _linen(module: Any, example: Any) -> tuple[Callable[..., Any], Apply]:
    if example is None:
        raise InputError(
            "example",
            got="none",
            expected="inputs of one example, (1, ...), from which Linen makes its parameters",
            remedy="Give data.train.inputs[:1].",
        )
    given = jnp.asarray(example)
    modes = {"train", "deterministic"} & keywords(type(module).__call__)
    if not modes:
        shapes = jax.eval_shape(module.init, jax.random.key(0), given)
        _check_state([name for name in shapes if name != "params"])

    def told(key: Array | None) -> dict[str, bool]:
        return {mode: (key is None) == (mode == "deterministic") for mode in modes}

    def init(key: Array) -> Any:
        params = dict(module.init(key, given, **told(None)))
        trained = params.pop("params")
        return Stateful(trained, params) if params else trained

    def apply(params: Any, inputs: Any) -> Any:
        return module.apply({"params": params}, inputs)

    def with_key(params: Any, inputs: Any, key: Array | None = None, state: Any = None) -> Any:
        whole = {"params": params, **(state or {})}
        if key is None:
            found = module.apply(whole, inputs, **told(None))
            return found if state is None else (found, state)
        changed = list(state or {})
        how: dict[str, Any] = {"rngs": {"dropout": key}, "mutable": changed or False}
        return module.apply(whole, inputs, **how, **told(key))

    return init, with_key if modes else apply


def _nnx(make: Callable[..., Any]) -> tuple[Callable[..., Any], Apply]:
    from flax import nnx  # pyright: ignore[reportMissingImports]

    def parts(module: Any) -> Any:
        """Return the form; and as arrays the parameters, streams of random numbers, all else."""
        return nnx.split(module, nnx.Param, nnx.RngState, ...)

    module = make(nnx.Rngs(0))
    module.train()
    training, _, streams, others = parts(module)
    module.eval()
    evaluated = parts(module)[0]

    def init(key: Array) -> Any:
        _, params, _, state = parts(make(nnx.Rngs(key)))
        return Stateful(params, state) if others else params

    if not streams and not others:
        return init, lambda params, inputs: nnx.merge(training, params)(inputs)
    tags = sorted({each.tag for _, each in nnx.to_flat_state(streams)})

    def with_key(params: Any, inputs: Any, key: Array | None = None, state: Any = None) -> Any:
        form, carried = (evaluated if key is None else training), state or nnx.State({})
        whole = nnx.merge(form, params, streams, carried, copy=True)  # else not of this trace
        keys = jax.random.split(jax.random.key(0) if key is None else key, max(len(tags), 1))
        nnx.reseed(whole, policy="match_shape", **dict(zip(tags, keys, strict=False)))
        outputs = whole(inputs)
        following = state if key is None else parts(whole)[3]
        return outputs if state is None else (outputs, following)

    return init, with_key


def _check_state(names: list[str]) -> None:
    if names:
        raise InputError(
            "module",
            got=f"state beside its parameters: {', '.join(names)}",
            expected="a call that takes train or deterministic",
            remedy="Let it take train, as BatchNorm(use_running_average=not train); or NNX.",
        )
