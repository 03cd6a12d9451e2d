"""Tables of the user's own: CSV, Parquet and Arrow, each column made numbers in a way that is told.

All that is wrong with a table is said at once. What became of each column is a recipe: it is
learned from the train split alone, recorded, and applied again to what a model is to predict.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jax_backprop.data.columns import (
    check_fits,
    encoded,
    feature_names,
    learned,
    numbers_of,
    text_of,
)
from jax_backprop.data.features import Standardize, as_float32
from jax_backprop.data.labels import as_told, check_labels, check_weights, name_targets
from jax_backprop.data.names import Columns, DatasetName
from jax_backprop.data.splits import array_checksum, assemble
from jax_backprop.data.stratified import Rows, split_rows
from jax_backprop.errors import DataWarning, InputError, unknown_name
from jax_backprop.reading import decode, read_table
from jax_backprop.recipes import Column
from jax_backprop.types import Batch, Dataset

if TYPE_CHECKING:
    import pyarrow as pa

RARE = 0.05  # share of the examples below which a class is rare, unless it has so many:
ENOUGH = 50
MOST_SAID = 12  # complaints that are shown


def load_table(
    name: DatasetName,
    *,
    split_seed: int = 0,
    standardize: Standardize = False,
    recipe: tuple[Column, ...] = (),
) -> Dataset:
    """Load a table with named columns: some of labels, all others features.

    They are read in float64, and become float32 after they are scaled.

    Args:
      name: of the data set, with what is to become of its columns.
      split_seed: of the split; rows in order of a time column are split without one.
      standardize: as for any data set.
      recipe: what became of the columns that a model was trained on, to be done again.

    Raises:
      InputError: all that is wrong with the table, at once.
    """
    path, chosen = Path(name.argument), name.columns
    table = open_table(name.kind, path)
    _check_names(path, table.column_names, chosen, labels=not name.reconstruct)
    features = _features(table.column_names, chosen)
    wrong: list[str] = []
    labels = None if name.reconstruct else _labels(table, chosen.label, wrong)
    beside = {
        each: numbers_of(table[each], each, wrong)
        for each in (chosen.time, chosen.weights)
        if each is not None
    }
    if wrong:  # the features' mistakes too, which are told at once
        encoded(table, learned(table, features, chosen, np.arange(table.num_rows), wrong), wrong)
    _refuse(path, wrong)
    told, class_names = {}, ()
    if labels is not None:
        told, class_names = as_told(
            {"train": labels}, None, relabel=name.relabel, numbers=name.numbers
        )
    whole = _batch(told.get("train"), len(class_names), table.num_rows)
    rows = split_rows(
        whole,
        len(class_names),
        split_seed,
        groups=text_of(table[chosen.group]) if chosen.group else None,
        time=beside[chosen.time] if chosen.time else None,
    )
    recipe = recipe or learned(table, features, chosen, rows.train, wrong)
    found = encoded(table, recipe, wrong)
    _refuse(path, wrong)
    weights = beside[chosen.weights] if chosen.weights else None
    batch = Batch(
        found if standardize else as_float32(found),
        whole.labels,
        None if weights is None else check_weights(weights, table.num_rows),
    )
    if class_names:
        _warn_of_rare(path, np.asarray(batch.labels), class_names)
    return _dataset(name, batch, rows, recipe, class_names, split_seed, standardize)


def _dataset(
    name: DatasetName,
    whole: Batch,
    rows: Rows,
    recipe: tuple[Column, ...],
    class_names: Sequence[str],
    split_seed: int,
    standardize: Standardize,
) -> Dataset:
    path, labels = Path(name.argument), ", ".join(name.columns.label)
    told = f", labels {labels}" if labels else ""
    return assemble(
        *(whole.take(each) for each in (rows.train, rows.validation, rows.test)),
        name=str(name._replace(standardize=False, balanced=False)),
        class_names=class_names,
        target_names=name_targets(whole, class_names, name.columns.label or None),
        source=f"{path}{told}, features {', '.join(each.name for each in recipe)}",
        split_seed=split_seed,
        split=rows.how,
        standardize=standardize,
        checksum=array_checksum([whole]),
        recipe=recipe,
        feature_names=feature_names(recipe),
    )


def open_table(kind: str, path: Path) -> pa.Table:
    """Return a file's table, or raise InputError: unreadable, empty, two columns of one name."""
    table = decode(
        path,
        lambda path: read_table(kind, path),
        what="file",
        expected="a CSV file whose rows have as many values as its header"
        if kind == "csv"
        else f"a table as {kind.capitalize()}",
        remedy="Check its name, and how it was written.",
    )
    if table.num_rows == 0:
        raise InputError(
            f"file {path}",
            got="a header and no rows",
            expected="at least one example",
            remedy="Check how the file was written.",
        )
    if twice := [name for name, count in Counter(table.column_names).items() if count > 1]:
        raise InputError(
            f"file {path}",
            got=f"two columns named {twice[0]!r}",
            expected="a name of its own for each column",
            remedy="Rename one in the header.",
        )
    return table


def features_of(path: Path, recipe: tuple[Column, ...]) -> np.ndarray:
    """Return a table's features as a model's recipe makes them, (examples, features), float64."""
    kind = path.suffix.removeprefix(".")
    table, wrong = open_table(kind if kind in ("parquet", "arrow") else "csv", path), []
    found = encoded(table, recipe, wrong)
    _refuse(path, wrong)
    return found


def _check_names(path: Path, names: list[str], chosen: Columns, *, labels: bool) -> None:
    if labels and not chosen.label:
        raise InputError(
            f"file {path}",
            got="no label column",
            expected=f"the name of one of its columns: {', '.join(names)}",
            remedy="Give --label COLUMN, or write the data set as csv:FILE,label=COLUMN.",
        )
    others = [each for each in (chosen.group, chosen.time, chosen.weights) if each is not None]
    for each in (*chosen.label, *chosen.columns, *chosen.drop, *others):
        if each not in names:
            raise unknown_name(f"column of {path}", each, names)
    if not _features(names, chosen):
        raise InputError(
            f"file {path}",
            got=f"the column {', '.join(map(repr, chosen.label))} alone",
            expected="at least one column of features, too",
            remedy="Add features.",
        )


def _features(names: list[str], chosen: Columns) -> list[str]:
    """Return the columns that are features, in the order of the table."""
    others = {*chosen.label, *chosen.drop, chosen.group, chosen.weights}
    if chosen.columns:
        return [name for name in names if name in chosen.columns]
    return [name for name in names if name not in others]


def _labels(table: pa.Table, columns: Sequence[str], wrong: list[str]) -> np.ndarray:
    """Return labels: of one column as they are, of several as numbers, a column each."""
    if len(columns) > 1:
        found = [numbers_of(table[name], name, wrong) for name in columns]
        return np.stack(found, axis=1)
    (name,) = columns
    column = table[name]
    if column.null_count:
        row = int(column.is_null().to_numpy().argmax())
        wrong.append(
            f"{column.null_count} of {len(column):,} labels in column {name!r} are missing, the "
            f"first in row {row + 1} after the header"
        )
    found = column.to_numpy()
    if found.dtype.kind == "f" and not column.null_count:
        check_fits(found, name, wrong)
    return found.astype(str) if found.dtype == object else found


def _refuse(path: Path, wrong: Sequence[str]) -> None:
    """Raise InputError with all that is wrong, if anything is."""
    if not wrong:
        return
    wrong = list(dict.fromkeys(wrong))
    more = len(wrong) - MOST_SAID
    told = [*wrong[:MOST_SAID], *([f"and {more} more"] if more > 0 else [])]
    raise InputError(
        f"file {path}",
        got="; ".join(told),
        expected="a finite value in every row of every column that is used, categories by name",
        remedy="Mend the file, leave columns out (drop=COLUMN), or have missing values filled "
        "(missing=median or missing=0, and indicator).",
    )


def _batch(labels: np.ndarray | None, classes: int, examples: int) -> Batch:
    """Return the examples' labels, checked; the inputs aren't known yet."""
    rows = np.zeros((examples, 1), np.float32)
    if labels is None:
        return Batch(rows)
    return Batch(rows, check_labels(labels, examples=examples, classes=classes))


def _warn_of_rare(path: Path, labels: np.ndarray, class_names: Sequence[str]) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    rare = [
        f"{name!r} ({count})"
        for name, count in zip(class_names, counts.tolist(), strict=True)
        if count < min(ENOUGH, RARE * len(labels))
    ]
    if rare:
        text = f"rare classes: {', '.join(rare)} of {len(labels):,} examples"
        warnings.warn(f"{path}: {text}; `,balanced` weighs them up", DataWarning, stacklevel=4)
