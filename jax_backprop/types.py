"""The types that flow through the project, and the one key of dimension names.

Dimension names, the same in every signature:

| name                      | meaning                                                         |
|---------------------------|-----------------------------------------------------------------|
| ``batch``                 | examples that are processed together                            |
| ``inputs``                | features of one example (the homework's d)                      |
| ``fan_in``, ``fan_out``   | units before and after one layer's weights                      |
| ``units``                 | units of any one layer                                          |
| ``classes``               | units of the last layer (the homework's K), classes or numbers  |
| ``steps``                 | updates of the parameters                                       |
| ``cells``                 | training runs of a sweep                                        |
| ``lanes``                 | networks side by side in a last axis, where there is one        |
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped

from jax_backprop.errors import html_table
from jax_backprop.recipes import Column

AnyArray: TypeAlias = Array | np.ndarray
Scalar: TypeAlias = Float[Array, ""]
Scalars: TypeAlias = Float[Array, "*lanes"]  # one number, or one a lane
Device: TypeAlias = Any  # a jax.Device, which is no type to a checker


def canonical(dtype: Any) -> np.dtype:
    """Return the dtype that JAX's settings make of one: float32 for float64, by default."""
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


class Layer(NamedTuple):
    """Weights and biases of one fully connected layer.

    Args:
      weights: (fan_in, fan_out), the transpose of what some libraries keep.
      biases: (fan_out,).

    Example:
      >>> import numpy as np, jax_backprop as jb
      >>> layer = jb.Layer(weights=np.ones((4, 3)), biases=np.zeros(3))
      >>> layer._replace(biases=np.ones(3)).biases
      array([1., 1., 1.])
    """

    weights: Float[Array, "fan_in fan_out *lanes"]
    biases: Float[Array, " fan_out *lanes"]


Params: TypeAlias = tuple[Layer, ...]
"""A network's parameters, one Layer a weight matrix, inputs first."""


class Batch(NamedTuple):
    """Examples with what is to be told of them, on the host or on a device.

    The field is called ``labels`` whatever the task, as most libraries call it.

    Args:
      inputs: (batch, inputs); for a network of one's own any pytree led by the axis of examples.
      labels: classes, integers (batch,), 0..K-1; numbers, (batch, targets); token ids, or any
        pytree led by the axis of examples; None where the inputs are to be told (an autoencoder).
      weights: of each example in the means of losses and metrics, (batch,); None for 1.

    Example:
      >>> import numpy as np, jax_backprop as jb
      >>> batch = jb.Batch(inputs=np.zeros((8, 4), np.float32), labels=np.arange(8) % 2)
      >>> batch.labels, batch.examples
      (array([0, 1, 0, 1, 0, 1, 0, 1]), 8)
    """

    inputs: PyTree
    labels: PyTree = None
    weights: Float[AnyArray, " batch"] | None = None

    @property
    def examples(self) -> int:
        """Number of examples."""
        return int(jax.tree.leaves(self)[0].shape[0])

    @property
    def targets(self) -> PyTree:
        """What is to be told: the labels, or the inputs where there are none."""
        return self.inputs if self.labels is None else self.labels

    def total_weight(self, dtype: Any) -> int | Scalar:
        """Return the sum of the examples' weights: what a mean over them is divided by."""
        return self.examples if self.weights is None else jnp.sum(jnp.asarray(self.weights, dtype))

    def weighted(self, values: Shaped[Array, "batch ..."]) -> Shaped[Array, "batch ..."]:
        """Return a row of values an example, each times the example's weight."""
        if self.weights is None:
            return values
        weights = jnp.asarray(self.weights, jnp.result_type(values, float))
        return values * weights.reshape(-1, *(1,) * (values.ndim - 1))

    def take(self, rows: Any) -> Batch:
        """Return some of the examples: a slice, or their numbers."""
        return jax.tree.map(lambda leaf: leaf[rows], self)


class Scaling(NamedTuple):
    """What turns stored features into the network's inputs: ``factor * feature + offset``.

    Applied inside the compiled program, so that bytes stay bytes on host and device. Hashable, as
    it is static under jit.

    Args:
      factor, offset: one number for all features, or one for each.

    Example:
      >>> import numpy as np, jax_backprop as jb
      >>> jb.Scaling(factor=1 / 255).apply(np.array([[0, 255]], np.uint8))
      Array([[0., 1.]], dtype=float32)
    """

    factor: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0

    def apply(self, inputs: Shaped[AnyArray, "batch ..."]) -> Shaped[AnyArray, "batch ..."]:
        """Scale a few examples, as floats; the identity returns them as they are."""
        if self == Scaling():
            return inputs
        dtype = jnp.result_type(inputs, float)
        factor, offset = (jnp.asarray(part, dtype) for part in self)
        if factor.ndim or offset.ndim:  # by feature: the last axis, as in ``dense``
            factor, offset = jnp.atleast_2d(factor), jnp.atleast_2d(offset)
        return factor * jnp.asarray(inputs, dtype) + offset


class Penalties(NamedTuple):
    """What is added to the data's loss; traced, so that sweeping it doesn't recompile.

    Args:
      l2: adds ``l2 / 2`` times the sum of squared weights (biases are left out).
      label_smoothing: share of each label spread evenly over all classes, in [0, 1); of each yes
        or no, where there are several, moved to a half.

    Example:
      >>> import jax_backprop as jb
      >>> jb.Penalties(l2=1e-4)
      Penalties(l2=0.0001, label_smoothing=0.0)
    """

    l2: float | Scalar = 0.0
    label_smoothing: float | Scalar = 0.0


class Evaluation(NamedTuple):
    """Mean loss, and what else is said of the outputs.

    Args:
      loss: in nats per example for cross-entropy; penalties are left out.
      metrics: by name, such as the accuracy: the share of examples whose largest logit is the
        label's, in [0, 1].

    Example:
      >>> import jax.numpy as jnp, jax_backprop as jb
      >>> found = jb.Evaluation(loss=jnp.float32(0.125), metrics={"accuracy": jnp.float32(0.96)})
      >>> f"{found.loss} nats, {found.accuracy:.0%}"
      '0.125 nats, 96%'
    """

    loss: Scalars
    metrics: dict[str, Scalars] = {}  # noqa: RUF012 (a pytree; nothing changes it)

    @property
    def accuracy(self) -> Any:
        """The accuracy; KeyError where it isn't among the metrics."""
        return self.metrics["accuracy"]

    def named(self) -> dict[str, Any]:
        """Return the loss and each metric by name."""
        return {"loss": self.loss, **self.metrics}


ValueAndGrad: TypeAlias = Callable[..., tuple[Scalars, PyTree]]  # of params, batch; perhaps key
Evaluate: TypeAlias = Callable[[PyTree, Batch], Evaluation]
Init: TypeAlias = Callable[[Array], PyTree]


class OwnNetwork(NamedTuple):
    """A network of one's own, as pure functions: what ``fit`` and ``sweep`` take as ``network``.

    Args:
      init: ``key -> params``, any pytree of arrays.
      value_and_grad: ``(params, batch) -> (loss, grads)``, of the mean over the batch.
      evaluate: ``(params, batch) -> Evaluation``, streamed in blocks.
      vector_product: ``(params, batch, direction) -> Hessian x direction``.
      apply: ``(params, inputs) -> outputs``, of which `predict` tells.
      loss: the name of its loss, where it is one of this project's.

    Example:
      >>> import jax.numpy as jnp, jax_backprop as jb
      >>> network = jb.from_functions(lambda key: jnp.zeros((3, 2)), lambda p, inputs: inputs @ p)
      >>> network.loss
      'softmax_cross_entropy'
    """

    init: Callable[..., PyTree]
    value_and_grad: Callable[..., tuple[Scalars, PyTree]]
    evaluate: Callable[..., Evaluation] | None = None
    vector_product: Callable[..., PyTree] | None = None
    apply: Callable[..., Any] | None = None
    loss: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set on the host, split into train, validation and test.

    Args:
      name: as given on the command line.
      train, validation, test: NumPy arrays led by the axis of examples: ``Batch`` says which.
      class_names: one a class, in the order of the labels; () where they are no classes.
      source: where it came from.
      split_seed: seed of what was split here.
      checksum: SHA-256 over all arrays in order.
      scaling: what the network's inputs are of the features; ``fit`` applies it.
      standardization: what these features are of the source's, where they were scaled on the host;
        of bytes, which stay bytes, the same as ``scaling``.
      split: how train, validation and test came about.
      example_shape: of one example before it was laid flat, such as (28, 28); () if never so.
      target_names: one a column of the labels, where these are numbers.
      recipe: what became of a table's columns.
      feature_names: one a feature, of a table.

    Example:
      >>> import jax_backprop as jb
      >>> data = jb.load_dataset("noise:8,4,2")
      >>> data.train.inputs.shape, data.features, data.outputs
      ((8, 4), 4, 2)
    """

    name: str
    train: Batch
    validation: Batch
    test: Batch
    class_names: tuple[str, ...]
    source: str
    split_seed: int
    checksum: str
    scaling: Scaling = Scaling()
    split: str = ""
    example_shape: tuple[int, ...] = ()
    standardization: Scaling | None = None
    target_names: tuple[str, ...] = ()
    recipe: tuple[Column, ...] = ()
    feature_names: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Return what it is of, and how many examples each split has, for a notebook."""
        rows = [[name, len(jax.tree.leaves(each)[0])] for name, each in self.splits.items()]
        said = f"{self.name}: {self.features} features to {', '.join(self.output_names[:20])}"
        return f"<p>{html.escape(said)}</p>{html_table(('split', 'examples'), rows)}"

    @property
    def of_source(self) -> Scaling:
        """What the network's inputs are of the source's features."""
        return self.standardization or self.scaling

    @property
    def splits(self) -> dict[str, Batch]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def features(self) -> int:
        """Number of features of one example."""
        leaves = jax.tree.leaves(self.train.inputs)
        return sum(int(np.prod(leaf.shape[1:])) for leaf in leaves)

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the labels are no classes."""
        return len(self.class_names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """A name for each output: of a class, a number, or the feature that is to be told."""
        features = self.feature_names or tuple(f"feature {n}" for n in range(self.features))
        return self.class_names or self.target_names or features[: self.outputs]

    @property
    def outputs(self) -> int:
        """Number of outputs that a network of these data has: classes, or numbers an example."""
        if self.classes:
            return self.classes
        return int(np.prod(jax.tree.leaves(self.train.targets)[0].shape[1:]))
