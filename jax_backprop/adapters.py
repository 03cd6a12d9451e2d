"""Networks of other libraries, and plain functions, as what ``fit``, ``sweep`` and others take.

``derivation`` keeps autodiff, which a network without a gradient by hand is trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jax_backprop.blocks import BlockSize
from jax_backprop.derivation.autodiff import value_and_grad_of, vector_product_of
from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named
from jax_backprop.losses import LOSSES
from jax_backprop.metrics import Chosen, Metric, chosen_metrics, streamed
from jax_backprop.types import Batch, Evaluation, OwnNetwork, Scalars

Apply = Callable[..., Float[Array, "batch ..."]]  # (params, inputs) -> outputs
PerExample = Callable[[Any, Any], Float[Array, "batch ..."]]  # (outputs, targets) -> losses


def from_functions(
    init: Callable[..., PyTree],
    apply: Apply,
    loss: str | PerExample = "softmax_cross_entropy",
    *,
    metrics: Chosen = None,
    block_size: BlockSize = "auto",
) -> OwnNetwork:
    """Return a network from ``init(key) -> params`` and ``apply(params, inputs) -> outputs``.

    Args:
      init: draws the parameters.
      apply: pure; outputs are logits, or whatever the loss takes.
      loss: the name of one of this project's, or ``(outputs, targets) -> losses`` per example.
      metrics: as for ``fit``; with a loss of one's own, (name, function) alone.
      block_size: examples that are evaluated at a time.

    Raises:
      InputError: outputs of another shape than the targets are of, when they are first seen.

    Example:
      >>> import jax, jax.numpy as jnp, jax_backprop as jb
      >>> data = jb.load_dataset("noise:40,3,2")
      >>> network = jb.from_functions(
      ...     lambda key: jax.random.normal(key, (3, 2)), lambda params, inputs: inputs @ params
      ... )
      >>> grid = jb.Grid({"learning_rate": [0.1, 1.0], "seed": [0]})
      >>> tables = jb.sweep(None, data, grid, network=network, epochs=2)
      >>> tables.cells.num_rows
      2
    """

    def mean_loss(params: Any, batch: Batch) -> Scalars:
        losses = _per_example(loss, _outputs(apply, params, batch), batch.targets)
        return jnp.sum(batch.weighted(losses)) / batch.total_weight(losses.dtype)

    return OwnNetwork(
        init,
        value_and_grad_of(mean_loss),
        partial(_evaluate, apply=apply, loss=loss, metrics=metrics, block_size=block_size),
        vector_product_of(mean_loss),
    )


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

    _, static = eqx.partition(make(jax.random.key(0)), eqx.is_inexact_array)

    def init(key: Array) -> Any:
        return eqx.filter(make(key), eqx.is_inexact_array)

    def apply(params: Any, inputs: Any) -> Any:
        return jax.vmap(eqx.combine(params, static))(inputs)

    return from_functions(init, apply, loss, **options)


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
        NNX class of one argument. It takes a batch.
      example: inputs of Linen's first call, (1, ...); None for NNX.
      loss, options: as for ``from_functions``.

    Raises:
      InputError: a module with state beside its parameters, such as batch statistics.
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
    shapes = jax.eval_shape(module.init, jax.random.key(0), given)
    _check_state([name for name in shapes if name != "params"])

    def init(key: Array) -> Any:
        return module.init(key, given)["params"]

    return init, lambda params, inputs: module.apply({"params": params}, inputs)


def _nnx(make: Callable[..., Any]) -> tuple[Callable[..., Any], Apply]:
    from flax import nnx  # pyright: ignore[reportMissingImports]

    graph, _, others = nnx.split(make(nnx.Rngs(0)), nnx.Param, ...)
    _check_state(sorted({type(each).__name__ for _, each in nnx.to_flat_state(others)}))

    def init(key: Array) -> Any:
        return nnx.state(make(nnx.Rngs(key)), nnx.Param)

    return init, lambda params, inputs: nnx.merge(graph, params)(inputs)


def _check_state(names: list[str]) -> None:
    if names:
        raise InputError(
            "module",
            got=f"state beside its parameters: {', '.join(names)}",
            expected="parameters alone: a step here carries neither statistics nor random numbers",
            remedy="Take LayerNorm or GroupNorm for BatchNorm, and leave Dropout out.",
        )


def _flat(outputs: Any, targets: Any) -> tuple[Any, Any]:
    """Return a sequence's outputs and targets as rows, an example or a place of one each."""
    if outputs.ndim > 2 and targets.ndim == outputs.ndim - 1:
        return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
    return outputs, targets


def _per_example(loss: str | PerExample, outputs: Any, targets: Any) -> Any:
    """Return the loss of each example; of a sequence the mean over its places."""
    if not isinstance(loss, str):
        return loss(outputs, targets)
    rows, told = _flat(outputs, targets)
    _check_shapes(loss, rows, told)
    return LOSSES[loss].forward(rows, told, 0.0).reshape(len(outputs), -1).mean(axis=1)


def _check_shapes(loss: str, outputs: Any, targets: Any) -> None:
    classes = targets.ndim == 1 and "classes" in LOSSES[loss].targets
    if outputs.ndim != 2 or not (classes or targets.shape == outputs.shape):
        raise InputError(
            f"outputs of the network, for loss {loss!r}",
            got=f"shape {outputs.shape}, with targets of shape {targets.shape}",
            expected="(batch, classes) with labels (batch,), or both of one shape (batch, numbers)",
            remedy="Mend the last layer, or give a loss of your own.",
        )


def _outputs(apply: Apply, params: Any, batch: Batch) -> Any:
    outputs = apply(params, batch.inputs)
    if not hasattr(outputs, "shape") or outputs.shape[:1] != (batch.examples,):
        raise InputError(
            "outputs of the network",
            got=getattr(outputs, "shape", type(outputs).__name__),
            expected=f"an array led by the {batch.examples} examples",
            remedy="The function is given a batch; one that takes an example needs jax.vmap.",
        )
    return outputs


def _evaluate(
    params: Any,
    batch: Batch,
    *,
    apply: Apply,
    loss: str | PerExample,
    metrics: Chosen,
    block_size: BlockSize,
) -> Evaluation:
    first = batch.take(slice(1))
    targets = _flat(_outputs(apply, params, first), first.targets)[1]
    chosen = _chosen(metrics, loss, targets)
    named = LOSSES[loss] if isinstance(loss, str) else None

    def told(block: Batch) -> tuple[Any, dict[str, Any]]:
        outputs = _outputs(apply, params, block)
        losses = _per_example(loss, outputs, block.targets)
        rows, told = _flat(outputs, block.targets)
        if named is not None and named.kind(told) != "classes":
            rows = named.predict(rows)
        values = {name: each.values(rows, told, targets[:1]) for name, each in chosen.items()}
        # A sequence's values are the means over its places, as its loss is.
        return losses, jax.tree.map(
            lambda each: jnp.mean(each.reshape(len(outputs), -1, *each.shape[1:]), axis=1), values
        )

    return streamed(told, chosen, batch, block_size)


def _chosen(metrics: Chosen, loss: str | PerExample, targets: Any) -> Mapping[str, Metric]:
    if isinstance(loss, str):
        return chosen_metrics(metrics, loss, targets)
    found: dict[str, Metric] = {}
    for each in metrics or ():
        if isinstance(each, str):
            raise InputError(
                "metrics",
                got=f"{each!r} with a loss of your own",
                expected="(name, function) pairs: what its outputs mean isn't known",
                remedy="Give functions (outputs, targets) -> a value an example.",
            )
        found[each[0]] = each[1] if isinstance(each[1], Metric) else Metric(each[1])
    return found
