"""Names of data sets: what a command line and a study file say, taken apart and checked."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from jax_backprop.errors import InputError, unknown_name

PLAIN = ("digits", "mnist", "fashion_mnist")
TABLES = ("csv", "parquet", "arrow")
# Kinds with an argument after the colon, and how that is written.
KINDS = {
    "tfds": "tfds:NAME",
    "npz": "npz:FILE",
    **{kind: f"{kind}:FILE,label=COLUMN" for kind in TABLES},
    "noise": "noise:EXAMPLES,FEATURES,CLASSES",
}
FLAGS = ("relabel", "numbers", "ids", "reconstruct", "balanced", "standardize")
COLUMN_FLAGS = ("indicator",)
SEVERAL = ("label", "columns", "drop")  # options that may be said more than once
ONCE = ("categories", "missing", "group", "time", "weights")
# What each kind takes at the end of its name, beside what all of them do.
OF_ALL = ("reconstruct", "balanced", "standardize")
OF_FILES = ("relabel", "numbers")
TAKES = {
    "npz": (*OF_FILES, "ids"),
    **dict.fromkeys(TABLES, (*SEVERAL, *ONCE, *COLUMN_FLAGS, *OF_FILES)),
}
# A comma before an option; others belong to the names of files and columns.
_BEFORE_OPTION = re.compile(
    rf",(?=(?:{'|'.join((*SEVERAL, *ONCE))})=|(?:{'|'.join((*FLAGS, *COLUMN_FLAGS))})(?:,|$))"
)


class Columns(NamedTuple):
    """What is to become of a table's columns.

    Args:
      label: columns that hold the labels; several are numbers, a column each.
      columns: features; by default all other columns.
      drop: columns that are left out.
      categories: "onehot", a column a category, or "integers".
      missing: "median", or a number that missing ones are replaced by; refused by default.
      indicator: a column more that tells where a value was missing.
      group: whose rows of one value are not split.
      time: by which rows are in order: validation and test are the last.
      weights: of each example.
    """

    label: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categories: str = "onehot"
    missing: str | None = None
    indicator: bool = False
    group: str | None = None
    time: str | None = None
    weights: str | None = None


class DatasetName(NamedTuple):
    """A data set's name, taken apart.

    Args:
      kind: ``digits``, ``mnist``, ``fashion_mnist``, ``tfds``, ``npz``, ``csv`` ... ``noise``.
      argument: what follows the colon: a name, a file or numbers; "" for a plain name.
      columns: of a table.
      relabel: number the classes in the order of the labels, whatever they are.
      numbers: integer labels are numbers, not classes.
      ids: integer features stay integers, such as a text's tokens.
      reconstruct: the inputs themselves are to be told.
      balanced: each class weighs as much as any other.
      standardize: mean 0 and standard deviation 1 of every feature, over the train split.
    """

    kind: str
    argument: str = ""
    columns: Columns = Columns()
    relabel: bool = False
    numbers: bool = False
    ids: bool = False
    reconstruct: bool = False
    balanced: bool = False
    standardize: bool = False

    def __str__(self) -> str:
        """Return the name in the form that ``parse_name`` reads."""
        default = Columns()._asdict()
        options = []
        for option, value in self.columns._asdict().items():
            if value != default[option]:
                several = value if isinstance(value, tuple) else (value,)
                options += [option if one is True else f"{option}={one}" for one in several]
        options += [flag for flag in FLAGS if getattr(self, flag)]
        return ",".join([f"{self.kind}:{self.argument}" if self.argument else self.kind, *options])


def parse_name(name: str) -> DatasetName:
    """Take a name apart: ``NAME`` or ``KIND:ARGUMENT``, options after commas at its end.

    Raises:
      InputError: a name or an option that isn't known; the nearest is named.

    Example:
      >>> found = parse_name("csv:iris.csv,label=species,relabel")
      >>> found.argument, found.columns.label, found.relabel
      ('iris.csv', ('species',), True)
    """
    head, *parts = _BEFORE_OPTION.split(name)
    options: dict[str, list[str]] = {}
    for part in parts:
        option, _, value = part.partition("=")
        options.setdefault(option, []).append(value)
        if len(options[option]) > 1 and (option not in SEVERAL or value in options[option][:-1]):
            raise _said_twice(option, f"{option!r} twice in {name!r}")
    kind, colon, argument = head.partition(":")
    _check_kind(name, kind, colon, argument)
    takes = (*TAKES.get(kind, ()), *OF_ALL)
    for option in options:
        if option not in takes:
            raise unknown_name(f"option of data set {kind}", option, takes)
    of_columns: dict[str, Any] = {
        option: tuple(values) if option in SEVERAL else values[0] or True
        for option, values in options.items()
        if option not in FLAGS
    }
    found = DatasetName(kind, argument, Columns(**of_columns), **{f: f in options for f in FLAGS})
    _check_together(name, found)
    return found


def _check_together(name: str, found: DatasetName) -> None:
    """Raise InputError for options that exclude each other, and values that can't be."""
    kinds = ("onehot", "integers")
    if found.columns.categories not in kinds:
        raise unknown_name("categories", found.columns.categories, kinds)
    missing = found.columns.missing
    if missing not in (None, "median") and not _is_number(missing):
        raise InputError(
            "missing",
            got=repr(missing),
            expected="median, or a number",
            remedy="Write missing=median, or missing=0.",
        )
    for one, other, why in (
        (found.relabel, found.numbers, "relabel and numbers"),
        (found.reconstruct, bool(found.columns.label), "reconstruct and label"),
        (found.reconstruct, found.relabel or found.numbers, "reconstruct and kinds of labels"),
        (found.reconstruct or found.numbers, found.balanced, "balanced without classes"),
        (found.ids, found.standardize, "ids and standardize"),
        (found.columns.group, found.columns.time, "group and time"),
        (found.columns.weights, found.balanced, "weights and balanced"),
        (found.columns.indicator and missing is None, True, "indicator without missing"),
    ):
        if one and other:
            raise InputError(
                "data set",
                got=f"{why} in {name!r}",
                expected="one of them" if "without" not in why else "both, or neither",
                remedy="Leave one out." if "without" not in why else "Mend the name.",
            )


def _is_number(text: str | None) -> bool:
    try:
        return math.isfinite(float(text or "nan"))
    except ValueError:
        return False


def _said_twice(option: str, got: str) -> InputError:
    remedy = "Leave the others out."
    return InputError(
        f"{option} of a data set", got=got, expected="each option once", remedy=remedy
    )


def _check_kind(name: str, kind: str, colon: str, argument: str) -> None:
    if kind in KINDS and not argument:
        form = KINDS[kind]
        raise InputError("data set", got=repr(name), expected=form, remedy=f"Write it as {form}.")
    if kind == "tfds" and not re.fullmatch(r"\w+(/[\w.-]*\w)*(:\d+(\.\d+)*)?", argument):
        form = "tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:1.0.0"
        raise InputError("data set", got=repr(name), expected=form, remedy="Mend the name.")
    if colon and kind not in KINDS:
        raise unknown_name("kind of data set", kind, KINDS)
    plain, comma, option = kind.partition(",")
    if comma and plain in PLAIN:
        raise unknown_name(f"option of data set {plain}", option, FLAGS)
    suffix = kind.rpartition(".")[2].lower()
    if not colon and suffix in ("npz", *TABLES):
        form = f"{suffix}:{kind}" + (",label=COLUMN" if suffix in TABLES else "")
        raise InputError("data set", got=repr(name), expected=form, remedy="Write it so.")
    if not colon and kind not in PLAIN:
        raise unknown_name("data set", name, [*PLAIN, *KINDS.values()])


def name_with(
    name: str, *, label: str | None = None, relabel: bool = False, standardize: bool = False
) -> str:
    """Return a name with some options added: the one form that a run or a study records.

    Example:
      >>> name_with("csv:iris.csv,relabel", label="species")
      'csv:iris.csv,label=species,relabel'
    """
    parsed = parse_name(name)
    known = parsed.columns.label
    if label is not None and known not in ((), (label,)):
        said = ", ".join(map(repr, known))
        raise _said_twice("label", f"{said} in {name!r}, and {label!r} as an option")
    added = parsed._replace(
        columns=parsed.columns._replace(label=known if label is None else (label,)),
        relabel=relabel or parsed.relabel,
        standardize=standardize or parsed.standardize,
    )
    return str(parse_name(str(added)))
