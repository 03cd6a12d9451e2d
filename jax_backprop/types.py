"""The types that flow through the project, and the one key of dimension names.

Dimension names, the same in every signature:

| name                      | meaning                                                         |
|---------------------------|-----------------------------------------------------------------|
| ``batch``                 | examples that are processed together                            |
| ``inputs``                | features of one example (the homework's d)                      |
| ``fan_in``, ``fan_out``   | units before and after one layer's weights                      |
| ``units``                 | units of any one layer                                          |
| ``classes``               | units of the last layer (the homework's K)                      |
| ``steps``                 | updates of the parameters                                       |
| ``cells``                 | training runs of a sweep                                        |
| ``lanes``                 | networks side by side in a last axis, where there is one        |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Shaped

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
    """Examples with their labels, on the host or on a device.

    Args:
      inputs: (batch, inputs).
      labels: integers (batch,), 0..K-1.

    Example:
      >>> import numpy as np, jax_backprop as jb
      >>> batch = jb.Batch(inputs=np.zeros((8, 4), np.float32), labels=np.arange(8) % 2)
      >>> batch.labels
      array([0, 1, 0, 1, 0, 1, 0, 1])
    """

    inputs: Shaped[AnyArray, "batch ..."]
    labels: Int[AnyArray, " batch"]


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
      label_smoothing: share of each label spread evenly over all classes, in [0, 1).

    Example:
      >>> import jax_backprop as jb
      >>> jb.Penalties(l2=1e-4)
      Penalties(l2=0.0001, label_smoothing=0.0)
    """

    l2: float | Scalar = 0.0
    label_smoothing: float | Scalar = 0.0


class Evaluation(NamedTuple):
    """Mean loss and accuracy.

    Args:
      loss: in nats per example for cross-entropy; penalties are left out.
      accuracy: the share of examples whose largest logit is the label's, in [0, 1].

    Example:
      >>> import jax.numpy as jnp, jax_backprop as jb
      >>> found = jb.Evaluation(loss=jnp.float32(0.125), accuracy=jnp.float32(0.96))
      >>> f"{found.loss} nats, {found.accuracy:.0%}"
      '0.125 nats, 96%'
    """

    loss: Scalars
    accuracy: Scalars


ValueAndGrad: TypeAlias = Callable[[PyTree, Batch], tuple[Scalars, PyTree]]
Evaluate: TypeAlias = Callable[[PyTree, Batch], Evaluation]
Init: TypeAlias = Callable[[Array], PyTree]


@dataclass(frozen=True)
class Dataset:
    """A classification data set on the host, split into train, validation and test.

    Args:
      name: as given on the command line.
      train, validation, test: NumPy arrays, (examples, features) and (examples,).
      class_names: one a class, in the order of the labels.
      source: where it came from.
      split_seed: seed of what was split here.
      checksum: SHA-256 over all arrays in order.
      scaling: what the network's inputs are of the features; ``fit`` applies it.
      standardization: what these features are of the source's, where they were scaled on the host;
        of bytes, which stay bytes, the same as ``scaling``.
      split: how train, validation and test came about.
      example_shape: of one example before it was laid flat, such as (28, 28); () if never so.

    Example:
      >>> import jax_backprop as jb
      >>> data = jb.load_dataset("noise:8,4,2")
      >>> data.train.inputs.shape, data.features, data.classes
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
        return int(np.prod(self.train.inputs.shape[1:]))

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)
