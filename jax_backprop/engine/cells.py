"""What a cell is, from its axes and from what all cells share: settings, ids, groups."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from jax_backprop.choices import OPTIMIZER_PARAMETERS
from jax_backprop.engine.grid import Cells, Named, named, own_name
from jax_backprop.errors import InputError, kind_of
from jax_backprop.fields import Settings
from jax_backprop.schedules import evaluate_schedule
from jax_backprop.settings import Run, Schedule
from jax_backprop.storage import sha256
from jax_backprop.study_file import CHOICES
from jax_backprop.training import make_plan, used_examples

# What the engine itself reads; any other name is handed to the user's functions.
_READ = (
    *("learning_rate", "schedule", "seed", "split_seed", "optimizer", "rate_rule", "reduction"),
    *("batch_size", "epochs", "steps", "data_fraction", "eval_every"),
    "matmul_precision",
)
ENGINE_DEFAULTS: dict[str, Any] = {name: Run.model_fields[name].default for name in _READ}
_LENGTH = ("batch_size", "epochs", "steps", "data_fraction")  # decide how many steps a run has
# What another program is compiled for: shapes and steps, and how a step is made.
STATIC = (*_LENGTH, "eval_every", "rate_rule", "split_seed", "matmul_precision")
ID_LENGTH = 16


class Hashes(NamedTuple):
    """What the values of an axis hold, where that can differ from cell to cell: texts and codes."""

    texts: tuple[str | None, ...]
    codes: np.ndarray


def is_engine_name(name: str) -> bool:
    """Tell whether the engine reads this axis itself."""
    return name in ENGINE_DEFAULTS or _is_folded(name) or name.startswith("layer_factors.")


def resolve(cells: Cells, fixed: Mapping[str, Any]) -> Cells:
    """Return the cells with whole schedules and optimizers, and columns for what isn't an axis.

    ``schedule.final_fraction`` and the like are put into the cell's schedule; so are the
    optimizer's parameters. Raises InputError where a parameter isn't one that it takes.
    """
    values, codes = dict(cells.values), dict(cells.codes)
    for name, default in ENGINE_DEFAULTS.items():
        if name not in values:
            values[name] = tuple(named([fixed.get(name, default)]))
            codes[name] = np.zeros(len(cells), np.int32)
    for name, (model, _) in CHOICES.items():
        dotted = [axis for axis in values if axis.startswith(f"{name}.")]
        if not dotted and len(values[name]) == 1:  # as in most studies: nothing to sort
            values[name] = (_combined(model, values[name][0], {}),)
            continue
        rows = np.stack([codes[axis] for axis in (name, *dotted)])
        combinations, inverse = np.unique(rows, axis=1, return_inverse=True)
        values[name] = tuple(
            _combined(
                model,
                values[name][first],
                {
                    axis.partition(".")[2]: values[axis][code]
                    for axis, code in zip(dotted, rest, strict=True)
                },
            )
            for first, *rest in combinations.T
        )
        codes[name] = inverse.reshape(-1).astype(np.int32)
    return Cells(values, codes)


def _combined(model: type[Settings], base: Any, parameters: dict[str, Any]) -> Any:
    if model is Schedule and not isinstance(base, str | Settings):
        return base  # a function has no parameters of ours
    if isinstance(base, Named):
        raise InputError(
            f"axis {model.__name__.lower()!r}",
            got=f"{base.name!r}, a function or transformation of your own",
            expected="names, or choices with parameters",
            remedy="Give your own to sweep as an argument: one for all cells.",
        )
    named = base.model_dump(exclude_none=True) if isinstance(base, Settings) else {"name": base}
    try:
        return model.model_validate({**named, **parameters})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(
            model.__name__.lower(),
            got=f"{parameters or named}",
            expected=message,
            remedy="Exclude those cells, or give whole values of that axis instead.",
        ) from None


def cell_ids(
    cells: Cells, fixed: Mapping[str, Any], hashes: Mapping[str, Hashes] | None = None
) -> list[str]:
    """Return a stable name of each cell, from its contents alone: 16 hexadecimal digits.

    Whether a value comes from an axis or is shared by all makes no difference, nor does anything
    about the other cells.

    Args:
      cells: resolved ones.
      fixed: settings that no axis changes.
      hashes: of axes whose values' contents count as well: ``schedule_hashes``, of data.

    Raises:
      InputError: two cells are the same.
    """
    columns = [
        ([_fragment(name, each) for each in cells.values.get(name, (fixed.get(name),))], codes)
        for name in sorted({*fixed, *cells.values})
        for codes in [cells.codes.get(name)]
        if not _is_folded(name)
    ]
    columns += [
        ([(text or "").encode() for text in each.texts], each.codes)
        for each in (hashes or {}).values()
    ]
    ids = [hashlib.sha256(text).hexdigest()[:ID_LENGTH] for text in _joined(columns, len(cells))]
    if len(set(ids)) < len(ids):
        repeated = next(name for name, times in Counter(ids).items() if times > 1)
        raise InputError(
            "grid",
            got=f"the same cell twice: {plain(cells.cell(ids.index(repeated)))}",
            expected="cells that differ from each other",
            remedy="Leave out the value that is given twice, or that another one spells out.",
        )
    return ids


def schedule_hashes(cells: Cells, examples: int) -> dict[str, Hashes]:
    """Return the hash of each callable schedule's rates in each cell; {} if there is none.

    Over all steps of the cell's own run, at a peak of 1.

    Args:
      cells: resolved ones.
      examples: of the train split.
    """
    schedules = cells.values["schedule"]
    if not any(isinstance(schedule, Named) for schedule in schedules):
        return {}
    rows = np.stack([cells.codes[name] for name in (*_LENGTH, "schedule")])
    combinations, inverse = np.unique(rows, axis=1, return_inverse=True)
    texts: list[str | None] = []
    for *codes, code in combinations.T:
        schedule = schedules[code]
        if not isinstance(schedule, Named):
            texts.append(None)
            continue
        given: dict[str, Any] = {
            name: cells.values[name][each] for name, each in zip(_LENGTH, codes, strict=True)
        }
        used = used_examples(given.pop("data_fraction"), examples)
        steps = make_plan(used, **given).steps
        texts.append(sha256(evaluate_schedule(schedule.value, steps).tobytes())[:ID_LENGTH])
    return {"schedule": Hashes(tuple(texts), inverse.reshape(-1))}


def static_key(cells: Cells, extras: Mapping[str, bool]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Split cells into groups that one program serves.

    Args:
      cells: resolved ones.
      extras: axes that the engine doesn't read itself, and whether each is traced.

    Returns:
      The group of each cell, (cells,), and what each group's cells have in common.
    """
    names = [*STATIC, *(name for name, traced in extras.items() if not traced)]
    kind_of = [_kind(optimizer) for optimizer in cells.values["optimizer"]]
    kinds = list(dict.fromkeys(kind_of))
    kind = np.asarray([kinds.index(each) for each in kind_of])[cells.codes["optimizer"]]
    columns = [(cells.codes[name], len(cells.values[name])) for name in names]
    of_group = np.zeros(len(cells), np.int64)
    for codes, count in (*columns, (kind, len(kinds))):
        if count > 1:
            of_group = np.unique(of_group * count + codes, return_inverse=True)[1]
    _, first, of_group = np.unique(of_group, return_index=True, return_inverse=True)
    order = np.argsort(first)  # groups in the order of their first cells
    found = []
    for row in first[order]:
        static = {name: cells.values[name][cells.codes[name][row]] for name in names}
        name, *optional = kinds[kind[row]]
        found.append({**static, "optimizer": name, **({"with": optional} if optional else {})})
    return np.argsort(order)[of_group], found


def _kind(optimizer: Any) -> tuple[str, ...]:
    """Return what an optimizer's program is made of: its name, and optional parts by name."""
    table = OPTIMIZER_PARAMETERS[optimizer.name]
    return (optimizer.name, *(name for name in optimizer.given if table[name] is None))


def _joined(columns: list[tuple[list[bytes], np.ndarray | None]], cells: int) -> Iterable[bytes]:
    """Return each cell's texts joined, the columns in order; what all share is joined once."""
    shared, varied = b"", []
    for texts, codes in columns:
        if codes is not None and len(texts) > 1:
            varied.append(([shared + text for text in texts], codes))
            shared = b""
        else:
            shared += texts[0]
    if not varied:
        return [shared] * cells
    last, codes = varied.pop()
    varied.append(([text + shared for text in last], codes))
    found = [[texts[code] for code in codes.tolist()] for texts, codes in varied]
    return found[0] if len(found) == 1 else map(b"".join, zip(*found, strict=True))


def _is_folded(name: str) -> bool:
    return name.partition(".")[0] in CHOICES and "." in name


def _fragment(name: str, value: Any) -> bytes:
    return json.dumps({name: value}, sort_keys=True, default=_default).encode()


def plain(value: Any) -> Any:
    """Return settings as plain data, as JSON holds it."""
    return json.loads(json.dumps(value, default=_default))


def _default(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Named):
        return value.name
    if callable(value):
        return own_name(value)
    raise InputError(
        "axis value",
        got=f"{value!r}, {kind_of(value)}",
        expected="a number, a text, None, a tuple of these, or a function",
        remedy="Give functions as {name: function}.",
    )
