"""Plain functions as what ``fit``, ``sweep`` and others take.

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
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.importing import keywords
from jax_backprop.losses import LOSSES
from jax_backprop.losses.checks import check_per_example, checked_values
from jax_backprop.metrics import Chosen, Metric, chosen_metrics, streamed
from jax_backprop.training import Stateful, parameters_alone
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
      apply: pure; outputs are logits, or whatever the loss takes. One that takes ``key`` is given
        another at each step, for dropout and the like, and None where it is evaluated. Where
        ``init`` returns ``Stateful(params, state)``, it is ``apply(params, inputs, state=...) ->
        (outputs, next state)``.
      loss: the name of one of this project's, or ``(outputs, targets) -> losses`` per example.
      metrics: as for ``fit``; with a loss of one's own, (name, function) alone.
      block_size: examples that are evaluated at a time.

    Raises:
      InputError: a loss that isn't known; outputs of another shape than the targets are of, or a
        loss that isn't one an example, when they are first seen.

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
    if isinstance(loss, str) and loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES)

    def mean_loss(params: Any, batch: Batch, *more: Any) -> tuple[Scalars, Any]:
        outputs, following = _outputs(apply, params, batch, *more)
        losses = _per_example(loss, outputs, batch.targets)
        return jnp.sum(batch.weighted(losses)) / batch.total_weight(losses.dtype), following

    def value_and_grad(params: Any, batch: Batch, *more: Any) -> tuple[Scalars, Any]:
        if not isinstance(params, Stateful):
            return value_and_grad_of(lambda *args: mean_loss(*args)[0])(params, batch, *more)

        def of_params(trained: Any) -> tuple[Scalars, Any]:
            return mean_loss(params._replace(params=trained), batch, *more)

        (value, following), grads = value_and_grad_of(of_params, has_aux=True)(params.params)
        return value, Stateful(grads, following)

    def with_key(params: Any, batch: Batch, key: Array | None = None) -> tuple[Scalars, Any]:
        return value_and_grad(params, batch, key)

    return OwnNetwork(
        init,
        with_key if "key" in keywords(apply) else value_and_grad,
        partial(_evaluate, apply=apply, loss=loss, metrics=metrics, block_size=block_size),
        vector_product_of(lambda params, batch: mean_loss(_stateless(params), batch)[0]),
        lambda params, inputs: _outputs(apply, params, Batch(inputs))[0],
        loss if isinstance(loss, str) else None,
    )


def _flat(outputs: Any, targets: Any) -> tuple[Any, Any]:
    """Return a sequence's outputs and targets as rows, an example or a place of one each."""
    if outputs.ndim > 2 and targets.ndim == outputs.ndim - 1:
        return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
    return outputs, targets


def _per_example(loss: str | PerExample, outputs: Any, targets: Any) -> Any:
    """Return the loss of each example; of a sequence the mean over its places."""
    if not isinstance(loss, str):
        losses = loss(outputs, targets)
        check_per_example("loss", losses, outputs)
        return losses
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


def _stateless(params: Any) -> Any:
    of_it = "of which the Hessian is taken"
    return parameters_alone(params, "sharpness", of_it, "Leave out what measures it.")


def _outputs(apply: Apply, params: Any, batch: Batch, key: Any = None) -> tuple[Any, Any]:
    """Return the outputs, and the state that follows where one is carried."""
    named, following = ({"key": key} if "key" in keywords(apply) else {}), None
    outputs: Any
    if isinstance(params, Stateful):
        outputs, following = apply(params.params, batch.inputs, state=params.state, **named)
    else:
        outputs = apply(params, batch.inputs, **named)
    if not hasattr(outputs, "shape") or outputs.shape[:1] != (batch.examples,):
        raise InputError(
            "outputs of the network",
            got=getattr(outputs, "shape", type(outputs).__name__),
            expected=f"an array led by the {batch.examples} examples",
            remedy="The function is given a batch; one that takes an example needs jax.vmap.",
        )
    return outputs, following


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
    targets = _flat(_outputs(apply, params, first)[0], first.targets)[1]
    chosen = _chosen(metrics, loss, targets)
    named = LOSSES[loss] if isinstance(loss, str) else None

    def told(block: Batch) -> tuple[Any, dict[str, Any]]:
        outputs, _ = _outputs(apply, params, block)
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
        name, own = each
        found[name] = own if isinstance(own, Metric) else Metric(checked_values(name, own))
    return found
