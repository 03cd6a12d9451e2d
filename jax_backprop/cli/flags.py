"""Flags from the fields of a run, each described once: in its model, for all who choose it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro
from pydantic.fields import FieldInfo

from jax_backprop.choices import shown
from jax_backprop.data.names import name_with
from jax_backprop.parsing import parse
from jax_backprop.settings import Run
from jax_backprop.study_file import CHOICES

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
MaybeFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
StudyFile = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY.toml")]
Changes = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE"), tyro.conf.UseAppendAction]
Cluster = Annotated[str | None, tyro.conf.arg(metavar="{tcp://HOST:PORT,local:N,slurm}")]
MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="INT")]
DATASETS = "{digits,mnist,fashion_mnist,tfds:NAME,npz:FILE,csv:FILE,noise:N,D,K}"
SHORT = {"hidden_sizes": "hidden"}  # flags with another name than their field's
METAVARS = {"dataset": DATASETS, "network": "MODULE:FUNCTION"}
# The flag of each field, and of each parameter of a choice.
TYPED = {
    name: "--" + SHORT.get(name, name).replace("_", "-")
    for name in (
        *Run.model_fields,
        *(p for model, _ in CHOICES.values() for p in model.model_fields),
    )
}


def one_of(names: object) -> str:
    """Return how help shows a choice among the names of a Literal."""
    return "{" + ",".join(get_args(names)) + "}"


def for_each_field(
    function: Callable[..., object], *, without: Collection[str] = ()
) -> Callable[..., object]:
    """Give a command a flag for each field of a run, and call it with the run that they make.

    Args:
      function: takes the run first, and flags of its own after it, by name. Those among them that
        are options of the data set's name (``label``, ``relabel``, ``standardize``) go into that.
      without: fields that the command has no flag for.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    fields = [flag for flag in _flags() if flag.name not in without]

    def command(**given: Any) -> None:
        mine = {each.name: given.pop(each.name) for each in own}
        options = {name: mine.pop(name) for name in ("label", "relabel", "standardize")}
        given["dataset"] = name_with(given["dataset"], **options)
        function(parse(Run, _settings(given), "command line", TYPED), **mine)

    kinds = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in [*fields, *own]]
    for each in (command, inspect.unwrap(command)):  # a checker of types wraps it in the tests
        each.__signature__ = inspect.Signature(kinds)  # pyright: ignore[reportFunctionMemberAccess]
        each.__annotations__ = {flag.name: flag.annotation for flag in kinds}
    command.__doc__ = function.__doc__
    return command


def _flags() -> list[inspect.Parameter]:
    flags = []
    for name, field in Run.model_fields.items():
        if name not in CHOICES:
            flags.append(_flag(name, field, field.default))
            continue
        model, table = CHOICES[name]
        chosen = model.model_fields["name"]
        flags.append(_flag(name, chosen, chosen.default))
        for parameter, known in model.model_fields.items():
            defaults = {o: taken[parameter] for o, taken in table.items() if parameter in taken}
            if defaults:
                flags.append(_flag(parameter, known, None, defaults))
    return flags


def _flag(
    name: str, field: FieldInfo, default: Any, of_names: Mapping[str, Any] = MappingProxyType({})
) -> inspect.Parameter:
    """Return a field as a flag: names as texts, which the model checks, naming the nearest.

    Args:
      name, field, default: of the flag.
      of_names: the defaults of a choice's parameter, by the names that take it.
    """
    kind, optional, metavar = _kind(field.annotation)
    metavar = METAVARS.get(name, metavar)
    described = " ".join((field.description or "").split())
    hint = _hint(of_names)
    if optional and default is not None:  # what another field may stand in for
        hint, default = f"(default: {default})", None
    about = tyro.conf.arg(
        name=SHORT.get(name), metavar=metavar, help=described, help_behavior_hint=hint
    )
    annotation = Annotated[kind | None if optional else kind, about]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=annotation)


def _hint(of_names: Mapping[str, Any]) -> str | None:
    """Return what stands behind a parameter of a choice: who takes it, with which default."""
    by_default: dict[str, list[str]] = {}
    for name, default in of_names.items():
        if default is None:
            continue  # any takes it, and does nothing without it
        by_default.setdefault(shown(default), []).append(name)
    told = "; ".join(f"{', '.join(names)}: {default}" for default, names in by_default.items())
    return f"(default of {told})" if told else None


def _kind(hint: Any) -> tuple[Any, bool, str | None]:
    """Return the type of a flag, whether it may be left out, and what stands for its value."""
    if get_origin(hint) is Annotated:
        return _kind(get_args(hint)[0])
    if get_origin(hint) in (typing.Union, UnionType):
        kind, _, metavar = _kind(next(each for each in get_args(hint) if each is not type(None)))
        return kind, True, metavar or kind.__name__.upper()
    if get_origin(hint) is Literal:
        return str, False, one_of(hint)
    if get_origin(hint) is tuple:
        kind, _, _ = _kind(get_args(hint)[0])
        return tuple[kind, ...], False, f"[{kind.__name__.upper()} ...]"
    return hint, False, None


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run from the flat ones of the command line."""

    def named(choice: str) -> dict[str, Any]:
        parameters = CHOICES[choice][0].model_fields
        said = {name: given[name] for name in parameters if given.get(name) is not None}
        return {**said, "name": given[choice]}

    fields = {name: given[name] for name in Run.model_fields if given.get(name) is not None}
    return fields | {choice: named(choice) for choice in CHOICES}


def run_flags(run: Run) -> list[str]:
    """Return the flags that make a run: those of its fields that differ from the defaults."""
    flags: list[str] = []
    for name, field in Run.model_fields.items():
        value = getattr(run, name)
        if value is None or value == field.default:
            continue
        said = {name: value}
        if name in CHOICES:
            table = CHOICES[name][1][value.name]
            changed = {key: each for key, each in value.given.items() if each != table[key]}
            said = {name: value.name, **changed}
        for key, each in said.items():
            parts = each if isinstance(each, tuple) else (each,)
            texts = [f"{part:.4g}" if key == "learning_rate" else str(part) for part in parts]
            flags += [f"--{SHORT.get(key, key).replace('_', '-')}", *texts]
    return flags
