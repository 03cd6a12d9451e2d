"""``load_dataset``: any name to a Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from jax_backprop.data.cache import OnProgress, is_current, read_arrays
from jax_backprop.data.embedded import load_digits, load_noise
from jax_backprop.data.features import Standardize
from jax_backprop.data.files import load_csv, load_npz
from jax_backprop.data.names import DatasetName, parse_name
from jax_backprop.data.preparation import BUILT_HERE, not_prepared, prepare, set_name
from jax_backprop.data.prepared import check_readable, find_prepared
from jax_backprop.data.splits import make_dataset
from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named
from jax_backprop.types import Dataset, Scaling


class _Shared(TypedDict):
    split_seed: int
    standardize: Standardize


@extras_named()
def load_dataset(
    name: str,
    *,
    split_seed: int = 0,
    data_dir: Path | None = None,
    on_progress: OnProgress | None = None,
    scaling: Scaling | None = None,
) -> Dataset:
    """Load a data set by name.

    Args:
      name: ``digits``, ``mnist``, ``fashion_mnist``, ``tfds:NAME``, ``npz:FILE``, ``csv:FILE`` or
        ``noise:EXAMPLES,FEATURES,CLASSES``, with options after commas: ``label=COLUMN`` (CSV),
        ``relabel`` (CSV, npz) and ``standardize``, as in ``csv:iris.csv,label=species,relabel``.
      split_seed: of what the source leaves to be split.
      data_dir: the folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR, or the user's cache.
      scaling: of the source's features, in place of statistics of their own: what a model was
        trained with (``Dataset.of_source``).
      on_progress: called while the arrays of a prepared set are written, the first time.

    Returns:
      The set on the host: train, validation and test, and where they came from.

    Raises:
      InputError: an unknown name (the nearest is named), a set that isn't prepared, damaged files,
        or data that can't be learned from.
      MissingExtraError: the set needs a library that isn't installed.

    Example:
      >>> import jax_backprop as jb
      >>> data = jb.load_dataset("digits")
      >>> {name: len(split.labels) for name, split in data.splits.items()}
      {'train': 1257, 'validation': 180, 'test': 360}
    """
    parsed = parse_name(name)
    if data_dir is not None and parsed.kind not in (*BUILT_HERE, "tfds"):
        raise InputError(
            "data folder (--data-dir)",
            got=f"{data_dir} for {name}",
            expected=f"none but for {', '.join(BUILT_HERE)} and tfds:NAME, which lie prepared",
            remedy="Leave it out.",
        )
    standardize: Standardize = parsed.standardize if scaling is None else scaling
    shared = _Shared(split_seed=split_seed, standardize=standardize)
    match parsed.kind:
        case "digits":
            return load_digits(**shared)
        case "noise":
            return load_noise(parsed.argument, **shared)
        case "npz":
            return load_npz(Path(parsed.argument), relabel=parsed.relabel, **shared)
        case "csv":
            return load_csv(
                Path(parsed.argument), label=parsed.label, relabel=parsed.relabel, **shared
            )
        case _:
            return _load_prepared(parsed, data_dir, on_progress, **shared)


def _load_prepared(
    name: DatasetName,
    data_dir: Path | None,
    on_progress: OnProgress | None,
    *,
    split_seed: int,
    standardize: Standardize,
) -> Dataset:
    """Load a set from its arrays, which are written now if only the prepared set is there."""
    called = set_name(name)
    prepared = find_prepared(called, data_dir)
    arrays = read_arrays(called, data_dir)
    if arrays is None or not is_current(arrays.meta, prepared):
        if prepared is None or (name.kind in BUILT_HERE and not prepared.readable):
            raise not_prepared(name, data_dir)
        check_readable(prepared, called)
        prepare(name, data_dir=data_dir, on_progress=on_progress)
        arrays = read_arrays(called, data_dir)
        assert arrays is not None
    return make_dataset(
        *arrays.splits["train"],
        validation=arrays.splits.get("validation"),
        test=arrays.splits.get("test"),
        name=str(name._replace(standardize=False)),
        class_names=arrays.meta.class_names,
        split_seed=split_seed,
        source=f"{called} {arrays.meta.version}, tensorflow-datasets; {arrays.meta.homepage}",
        standardize=standardize,
        example_shape=tuple(arrays.meta.example_shape),
    )
