"""Noise: inputs that say nothing of their labels, for studies of training alone."""

from __future__ import annotations

import re

import numpy as np

from jax_backprop.data.precision import Standardize
from jax_backprop.data.splits import assemble
from jax_backprop.errors import InputError
from jax_backprop.types import Batch, Dataset

MOST_NUMBERS = 10**9  # 4 GB in float32


def load_noise(sizes: str, *, split_seed: int = 0, standardize: Standardize = False) -> Dataset:
    """Return standard-normal inputs and balanced labels that don't depend on them.

    Args:
      sizes: ``EXAMPLES,FEATURES,CLASSES``, so many examples in each of the three splits.
      split_seed: seed of the inputs.
      standardize: as for any data set.

    Raises:
      InputError: the sizes are not three whole numbers that fit together.
    """
    parts = sizes.split(",")
    if len(parts) != 3 or not all(re.fullmatch("[0-9]{1,18}", part) for part in parts):
        raise _refused(sizes)
    examples, features, classes = map(int, parts)
    if classes < 2 or examples < classes or features < 1:
        raise _refused(sizes)
    if 3 * examples * features > MOST_NUMBERS:
        raise _refused(sizes)
    generator = np.random.default_rng(split_seed)
    labels = (np.arange(examples) % classes).astype(np.int32)
    splits = [
        Batch(generator.standard_normal((examples, features), np.float32), labels) for _ in range(3)
    ]
    return assemble(
        *splits,
        name=f"noise:{sizes}",
        class_names=[str(label) for label in range(classes)],
        source="numpy.random.default_rng(split_seed).standard_normal",
        split_seed=split_seed,
        split=f"{examples:,} examples drawn for each of train, validation and test",
        standardize=standardize,
    )


def _refused(sizes: str) -> InputError:
    return InputError(
        f"data set 'noise:{sizes}'",
        got=repr(sizes),
        expected="EXAMPLES,FEATURES,CLASSES: at least 2 classes, no fewer examples than classes, "
        f"at most {MOST_NUMBERS:,} numbers over three splits",
        remedy="Write it like noise:16,16,2.",
    )
