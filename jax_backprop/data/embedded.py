"""Sets that need no file of the user's: scikit-learn's handwritten digits, and noise."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np

from jax_backprop.data.features import Standardize
from jax_backprop.data.splits import assemble, make_dataset
from jax_backprop.errors import InputError
from jax_backprop.types import Batch, Dataset

MOST_NUMBERS = 10**9  # 4 GB in float32


def load_digits(*, split_seed: int = 0, standardize: Standardize = False) -> Dataset:
    """Return the digits, pixels 0..16 scaled to 0..1, split by a seeded stratified permutation.

    (In file order the tail was written by other people: test accuracy there is 0.90, not 0.97.)

    Example:
      >>> load_digits().train.inputs.shape
      (1257, 64)
    """
    pixels, labels = _embedded()
    return make_dataset(
        pixels.astype(np.float32) / 16,
        labels,
        name="digits",
        split_seed=split_seed,
        source="scikit-learn's load_digits (UCI optical recognition of handwritten digits), / 16",
        standardize=standardize,
        example_shape=(8, 8),
    )


def _embedded() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels, (1797, 64), and labels from the file that lies in scikit-learn.

    Read in 0.01 s; importing scikit-learn for it takes 0.8 s, so that is left to a release that
    keeps the file elsewhere.
    """
    spec = importlib.util.find_spec("sklearn")  # looked for, not executed
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            table = np.loadtxt(path, delimiter=",")
            return table[:, :-1], table[:, -1].astype(int)
    from sklearn.datasets import load_digits as embedded

    pixels, labels = embedded(return_X_y=True)
    return np.asarray(pixels), np.asarray(labels)


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
