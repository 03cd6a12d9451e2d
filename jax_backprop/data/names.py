"""Names of data sets: what a command line and a study file say, taken apart and checked."""

from __future__ import annotations

import re
from typing import NamedTuple

from jax_backprop.errors import InputError, unknown_name

PLAIN = ("digits", "mnist", "fashion_mnist")
# Kinds with an argument after the colon, and how that is written.
KINDS = {
    "tfds": "tfds:NAME",
    "npz": "npz:FILE",
    "csv": "csv:FILE,label=COLUMN",
    "noise": "noise:EXAMPLES,FEATURES,CLASSES",
}
FLAGS = ("relabel", "standardize")
# What each kind takes at the end of its name, "standardize" aside, which all of them do.
TAKES = {"csv": ("label", "relabel"), "npz": ("relabel",)}


class DatasetName(NamedTuple):
    """A data set's name, taken apart.

    Args:
      kind: ``digits``, ``mnist``, ``fashion_mnist``, ``tfds``, ``npz``, ``csv`` or ``noise``.
      argument: what follows the colon: a name, a file or numbers; "" for a plain name.
      label: the column of a CSV file that holds the labels.
      relabel: number the classes in the order of the labels, whatever they are.
      standardize: mean 0 and standard deviation 1 of every feature, over the train split.
    """

    kind: str
    argument: str = ""
    label: str | None = None
    relabel: bool = False
    standardize: bool = False

    def __str__(self) -> str:
        """Return the name in the form that ``parse_name`` reads."""
        options = [f"label={self.label}"] if self.label is not None else []
        options += [flag for flag in FLAGS if getattr(self, flag)]
        return ",".join([f"{self.kind}:{self.argument}" if self.argument else self.kind, *options])


def parse_name(name: str) -> DatasetName:
    """Take a name apart: ``NAME`` or ``KIND:ARGUMENT``, options after commas at its end.

    Raises:
      InputError: a name or an option that isn't known; the nearest is named.

    Example:
      >>> parse_name("csv:iris.csv,label=species,relabel")
      DatasetName(kind='csv', argument='iris.csv', label='species', relabel=True, standardize=False)
    """
    parts = name.split(",")
    options: dict[str, str] = {}
    while len(parts) > 1 and (parts[-1] in FLAGS or parts[-1].startswith("label=")):
        option, _, value = parts.pop().partition("=")
        if option in options:
            raise _said_twice(option, f"{option!r} twice in {name!r}")
        options[option] = value
    kind, colon, argument = ",".join(parts).partition(":")
    _check_kind(name, kind, colon, argument)
    takes = (*TAKES.get(kind, ()), "standardize")
    for option in options:
        if option not in takes:
            raise unknown_name(f"option of data set {kind}", option, takes)
    return DatasetName(
        kind,
        argument,
        label=options.get("label"),
        relabel="relabel" in options,
        standardize="standardize" in options,
    )


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
    if not colon and suffix in ("csv", "npz"):
        form = f"{suffix}:{kind}" + (",label=COLUMN" if suffix == "csv" else "")
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
    if None not in (label, parsed.label) and label != parsed.label:
        raise _said_twice("label", f"{parsed.label!r} in {name!r}, and {label!r} as an option")
    added = parsed._replace(
        label=label if label is not None else parsed.label,
        relabel=relabel or parsed.relabel,
        standardize=standardize or parsed.standardize,
    )
    return str(parse_name(str(added)))
