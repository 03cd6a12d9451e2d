"""What is said of outputs beside the loss: metrics, each a mean of values per example.

A metric is a pure function ``(outputs, targets) -> values``, one value or a row of them an example.
Their means over all examples, weighted as the loss is, are streamed in blocks; what the metric says
follows from them. So a metric costs no more memory than the loss, whatever the number of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jax_backprop.blocks import BlockSize, sum_over_blocks
from jax_backprop.errors import InputError, unknown_name
from jax_backprop.importing import imported, is_path
from jax_backprop.losses import LOSSES, find_label
from jax_backprop.losses.checks import checked_values
from jax_backprop.losses.targets import Logits, TargetKind, Targets, as_numbers
from jax_backprop.types import Batch, Evaluation, Scalars

BINS = 10  # of predicted probabilities, over which a calibration is taken
Values: TypeAlias = PyTree  # arrays led by the axis of examples


class Metric(NamedTuple):
    """A number over examples, from means of values per example.

    Args:
      per_example: ``(outputs, targets) -> values``, arrays led by the axis of examples. Outputs are
        logits where the targets are classes; else what the logits predict.
      value: means of these values -> the number.
      higher_is_better: which way is up.
      of: kinds of targets that it is of.
      of_probabilities: its values are of probabilities, which not every loss gives.
      shifted: outputs and targets are measured from the first example's target, which changes
        nothing but rounding.

    Example:
      >>> import jax.numpy as jnp
      >>> METRICS["mae"].per_example(jnp.array([[1.0, 3.0]]), jnp.array([[2.0, 3.0]]))
      Array([0.5], dtype=float32)
    """

    per_example: Callable[[Any, Any], Values]
    value: Callable[[Any], Scalars] = lambda means: means
    higher_is_better: bool = True
    of: tuple[TargetKind, ...] = ("classes", "numbers", "shares", "counts")
    of_probabilities: bool = False
    shifted: bool = False

    def values(self, outputs: Any, targets: Any, origin: Any) -> Values:
        """Return its values per example; measured from an origin where it is shifted."""
        if self.shifted:
            shift = jnp.asarray(origin, outputs.dtype)
            outputs = outputs - shift.reshape(1, -1, *(1,) * (outputs.ndim - 2))
            targets = jnp.asarray(targets, outputs.dtype) - shift
        return self.per_example(outputs, targets)

    def fits(self, loss: str, kind: TargetKind) -> bool:
        """Tell whether it says something of a loss's outputs for such targets."""
        known = LOSSES[loss].tells_probabilities or not self.of_probabilities
        return kind in self.of and known


class _Counts(NamedTuple):
    """Of each class or output: examples that are it, that are said to be, and that are both."""

    actual: Float[Array, "*batch classes *lanes"]
    said: Float[Array, "*batch classes *lanes"]
    right: Float[Array, "*batch classes *lanes"]


def correct(outputs: Logits, targets: Targets) -> Array:
    """Return whether the largest logit is the label's; of several yes or no, the share right."""
    if targets.ndim == 1:
        labels = targets.reshape(-1, *(1,) * (outputs.ndim - 2))
        return jnp.argmax(outputs, axis=1) == labels
    said, actual = outputs > 0.5, as_numbers(outputs, targets) > 0.5
    return jnp.mean(said == actual, axis=1, dtype=outputs.dtype)


def _counts(outputs: Logits, targets: Targets) -> _Counts:
    if targets.ndim == 1:
        actual = find_label(outputs, targets)
        said = jnp.argmax(outputs, axis=1, keepdims=True) == _places(outputs)
    else:
        actual, said = as_numbers(outputs, targets) > 0.5, outputs > 0.5
    actual = jnp.broadcast_to(actual, outputs.shape)
    found = (actual, said, actual & said)
    return _Counts(*(each.astype(outputs.dtype) for each in found))


def _confused(outputs: Logits, targets: Targets) -> Array:
    """Return a 1 at the label and at the class that is said, for each example."""
    counts = _counts(outputs, targets)
    return counts.actual[:, :, None] * counts.said[:, None, :]


def _places(outputs: Logits) -> Array:
    return jnp.arange(outputs.shape[1]).reshape(1, -1, *(1,) * (outputs.ndim - 2))


def _balanced(means: _Counts) -> Scalars:
    """Return the mean recall of the classes that occur."""
    there = means.actual > 0
    recall = means.right / jnp.where(there, means.actual, 1)
    return jnp.sum(recall, axis=0) / jnp.sum(there, axis=0)


def _f1(means: _Counts) -> Scalars:
    """Return the mean F1 of the classes that occur or are said to: 2 right / (actual + said)."""
    both = means.actual + means.said
    each = 2 * means.right / jnp.where(both > 0, both, 1)
    return jnp.sum(each, axis=0) / jnp.sum(both > 0, axis=0)


def _squares(outputs: Logits, targets: Targets) -> tuple[Array, Array, Array]:
    numbers = as_numbers(outputs, targets)
    return (outputs - numbers) ** 2, numbers, numbers**2


def _r2(means: tuple[Array, Array, Array]) -> Scalars:
    """Return 1 - (mean squared error) / (variance of the targets), the mean over outputs.

    Outputs whose targets don't vary are left out; NaN where none does.
    """
    errors, first, second = means
    variance = second - first**2
    varied = variance > 0
    found = jnp.where(varied, 1 - errors / jnp.where(varied, variance, 1), 0)
    return jnp.sum(found, axis=0) / jnp.sum(varied, axis=0)


def _absolute(outputs: Logits, targets: Targets) -> Array:
    return jnp.mean(jnp.abs(outputs - as_numbers(outputs, targets)), axis=1)


def _in_bins(outputs: Logits, targets: Targets) -> tuple[Array, Array]:
    """Return the probability of what is said, and whether it is so, each in the bin of the first.

    Of a class the largest probability; of several yes or no each one's.
    """
    if targets.ndim == 1:
        sure = jnp.max(jax.nn.softmax(outputs, axis=1), axis=1, keepdims=True)
        right = correct(outputs, targets)[:, None]
    else:
        sure, right = outputs, as_numbers(outputs, targets)
    place = jnp.clip(jnp.floor(sure * BINS), 0, BINS - 1)
    shape = (1, 1, BINS, *(1,) * (outputs.ndim - 2))
    there = place[:, :, None] == jnp.arange(BINS).reshape(shape)
    return tuple(jnp.mean(each[:, :, None] * there, axis=1) for each in (sure, right))  # pyright: ignore[reportReturnType]


def _calibration(means: tuple[Array, Array]) -> Scalars:
    """Return the expected calibration error: |probability - share right|, over bins."""
    said, right = means
    return jnp.sum(jnp.abs(said - right), axis=0)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(correct, of=("classes", "shares")),
    "balanced_accuracy": Metric(_counts, _balanced, of=("classes",)),
    "f1": Metric(_counts, _f1, of=("classes", "shares")),
    "calibration": Metric(
        _in_bins,
        _calibration,
        higher_is_better=False,
        of=("classes", "shares"),
        of_probabilities=True,
    ),
    "r2": Metric(_squares, _r2, of=("numbers", "counts"), shifted=True),
    "mae": Metric(_absolute, higher_is_better=False, of=("numbers", "counts")),
}
CONFUSION = Metric(_confused, of=("classes",))  # of one network: a matrix is no column
# What is said of each kind of targets where nobody chooses: the first decides beside the loss.
BY_KIND: dict[TargetKind, tuple[str, ...]] = {
    "classes": ("accuracy",),
    "numbers": ("r2", "mae"),
    "shares": ("accuracy", "f1"),
    "counts": ("r2", "mae"),
}
Chosen: TypeAlias = Sequence[str | tuple[str, Callable[..., Any] | Metric]] | None


def is_higher_better(measure: str) -> bool:
    """Tell which way a measure is up: a loss is better lower, a metric of one's own higher."""
    known = METRICS.get(measure)
    return measure != "loss" and (known is None or known.higher_is_better)


def shortfall(values: Any, measure: str) -> Any:
    """Return how far a measure is from perfect: itself, or 1 minus it where higher is better."""
    return 1 - values if is_higher_better(measure) else values


def chosen_metrics(chosen: Chosen, loss: str, targets: Targets) -> dict[str, Metric]:
    """Return metrics by name: those chosen, or those that go with a loss of such targets.

    Args:
      chosen: names, import paths, or (name, function) of one's own; None for the default ones.
      loss: name of the network's loss.
      targets: of which their kind follows.

    Raises:
      InputError: a name that isn't known, or a metric of other targets.

    Example:
      >>> import numpy as np
      >>> list(chosen_metrics(None, "squared_error", np.zeros((4, 1))))
      ['r2', 'mae']
    """
    kind = LOSSES[loss].kind(targets)
    found: dict[str, Metric] = {}
    for each in BY_KIND[kind] if chosen is None else chosen:
        name, metric = (each, METRICS.get(each)) if isinstance(each, str) else each
        if metric is None and is_path(name):
            name, metric = name.rpartition(":")[2], imported(name)
        if metric is None:
            raise unknown_name("metric", name, METRICS)
        if not isinstance(metric, Metric):
            metric = Metric(checked_values(name, metric))
        if not metric.fits(loss, kind):
            fits = every_metric(loss, targets)
            raise InputError(
                "metric",
                got=f"{name!r} beside loss {loss!r} of {kind}",
                expected=f"one of {', '.join(fits)}",
                remedy="Choose one of these, or leave metrics out.",
            )
        found[name] = metric
    return found


def every_metric(loss: str, targets: Targets) -> tuple[str, ...]:
    """Return the names of all metrics of a loss of such targets: what is said of one network.

    Example:
      >>> import numpy as np
      >>> every_metric("softmax_cross_entropy", np.zeros(4, int))
      ('accuracy', 'balanced_accuracy', 'f1', 'calibration')
    """
    kind = LOSSES[loss].kind(targets)
    return tuple(name for name, metric in METRICS.items() if metric.fits(loss, kind))


def are_known(chosen: Chosen) -> bool:
    """Tell whether all chosen metrics are this project's, which know many networks at once."""
    return all(each in METRICS for each in chosen or ())


def streamed(
    told: Callable[[Batch], tuple[Array, dict[str, Values]]],
    chosen: Mapping[str, Metric],
    batch: Batch,
    block_size: BlockSize,
) -> Evaluation:
    """Return mean loss and metrics of any number of examples, block by block.

    Args:
      told: examples -> the loss of each, and each metric's values of each.
      chosen: the metrics.
      batch: the examples, whose means are weighted.
      block_size: examples at a time.
    """

    def totals(block: Batch) -> tuple[Array, dict[str, Values]]:
        losses, values = told(block)
        total = jnp.sum(block.weighted(losses), axis=0)
        return total, jax.tree.map(
            lambda each: jnp.sum(block.weighted(each), axis=0, dtype=losses.dtype), values
        )

    sums = sum_over_blocks(totals, batch, block_size)
    total = batch.total_weight(sums[0].dtype)
    mean, means = jax.tree.map(lambda each: each / total, sums)
    return Evaluation(mean, {name: chosen[name].value(each) for name, each in means.items()})
