"""A study as data: what is fixed, and the axes along which its cells differ. Imports no jax."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from jax_backprop.choices import OPTIMIZER_PARAMETERS, RULE_PARAMETERS, SCHEDULE_PARAMETERS, Value
from jax_backprop.errors import unknown_name
from jax_backprop.fields import MOST_UNITS, NonNegative, Settings, unused
from jax_backprop.ranges import Counted, Range, drawn
from jax_backprop.settings import LENGTHS, Optimizer, Rule, Run, Schedule, check_base_width

CurvesName = Literal["none", "evaluations", "steps"]
_FACTOR = TypeAdapter(NonNegative)
MOST_WIDTH = 2**16  # cells that run side by side
Together = Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
# A choice with parameters of its own: ``optimizer.momentum`` is an axis, too.
CHOICES: dict[str, tuple[type[Settings], Mapping[str, Mapping[str, Value | None]]]] = {
    "schedule": (Schedule, SCHEDULE_PARAMETERS),
    "optimizer": (Optimizer, OPTIMIZER_PARAMETERS),
    "rate_rule": (Rule, RULE_PARAMETERS),
}
SAID_TWICE = {
    "got": "a value of its own beside an axis of that name",
    "expected": "the one or the other",
    "remedy": "Leave it to the axis, or remove the axis.",
}
# The same for all cells of a study.
FIXED_FIELDS = ("dataset", "network", "gradient", "early_stopping")


class Study(Run, frozen=True):
    """A study: fields of a run that all cells share, and the axes along which they differ.

    Args:
      title, question: what the report is headed with.
      about: the axis that the question is about, which decides what is answered: without it the
        axes beside the learning rate, or that if there is none.
      axes: a field of a run (``optimizer.momentum``, ``schedule.final_fraction``,
        ``layer_factors.0`` among them), and its values: a list (among batch sizes "full" for all
        examples), ``{low, high, points_per_decade}``, ``{low, high, count, spacing}``, or
        ``{count, start}`` for seeds.
        Cells are all combinations.
      design, design_points: so many points, "sobol" or "random", of the axes that are
        ``{low, high, spacing}``, walked together instead of crossed.
      halving: of so many settings one goes on from each length of a run, a value of the axis
        ``epochs`` or ``steps``, to the next (successive halving); each run begins anew.
      refine: so many rounds after the grid. Each tries, for every series, the rates halfway in log
        between its best one and the two beside it.
      zip: groups of axes that are walked together, not crossed.
      include: more cells, each table the same grid with those axes' values replaced.
      exclude: cells to leave out: those that match every field of a table (a value, a list, or
        ``{low, high}``).
      curves: what is kept of each run beside its summary.
      choose_by: what each series' rate is chosen by on the validation split: the loss, or one of
        the metrics.
      sharpness_iterations: of Lanczos, with which the sharpness of the training loss is measured
        at each evaluation (with curves = "none" at the initial parameters alone), in the run's own
        precision; 0 for no such measurement.
      tile_width: cells that share a tile; by default from a rule on shapes.

    Example:
      >>> axes = {"learning_rate": {"low": 0.01, "high": 10, "count": 7}, "seed": {"count": 5}}
      >>> study = Study.model_validate({"title": "Rates", "question": "Which?", "axes": axes})
      >>> study.dataset, len(axis_values("seed", study.axes["seed"]))
      ('digits', 5)
    """

    title: str
    question: str
    about: str | None = None
    axes: Annotated[dict[str, Any], Field(min_length=1)]
    design: Literal["sobol", "random"] | None = None
    design_points: Annotated[int, Field(ge=2, le=2**24)] | None = None
    halving: Annotated[int, Field(ge=2, le=1_000)] | None = None
    refine: Annotated[int, Field(ge=1, le=8)] | None = None
    zip: Annotated[tuple[Together, ...], Field(strict=False)] = ()
    include: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    exclude: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    curves: CurvesName = "evaluations"
    choose_by: str = "loss"
    sharpness_iterations: Annotated[int, Field(ge=0, le=1_000)] = 0
    tile_width: Annotated[int, Field(gt=0, le=MOST_WIDTH)] | None = None

    @model_validator(mode="after")
    def _drawn(self) -> Study:
        """Draw the points of a design: from here on a study has their values as axes."""
        if self.design is None and self.design_points is None:
            return self
        points = drawn(self.axes, self.design, self.design_points)
        walked = (*self.zip, tuple(points)) if len(points) > 1 else self.zip
        gone = dict.fromkeys(("design", "design_points"))
        new = {"axes": {**self.axes, **points}, "zip": walked, **gone}
        for name, value in new.items():
            object.__setattr__(self, name, value)
        said = self.model_fields_set - {*gone} | {"zip"}
        object.__setattr__(self, "__pydantic_fields_set__", said)
        return self

    @model_validator(mode="after")
    def _said_once(self) -> Study:
        """Refuse a field that is fixed and an axis, too: one of them would not be used."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        name = said_twice(said, (self.axes, *self.include))
        if name is not None:
            raise unused(name, **SAID_TWICE)
        return self

    @model_validator(mode="after")
    def _includes_add(self) -> Study:
        for table in self.include:
            if not {*table} & set().union(*self.zip) and all(
                _holds(self.axes.get(name), name, given) for name, given in table.items()
            ):
                raise unused(
                    "include",
                    f"{table}, whose values the axes have",
                    "another value of some axis",
                    "It adds no cell: mend or remove it.",
                )
        return self

    @model_validator(mode="after")
    def _activations_of_something(self) -> Study:
        if "activation" in self.axes and not (self.hidden_sizes or "hidden_sizes" in self.axes):
            raise unused(
                "axes.activation",
                "values",
                "none where hidden_sizes is empty",
                "The activation is the hidden layers' alone: leave it out.",
            )
        return self

    @model_validator(mode="after")
    def _base_width_of_something(self) -> Study:
        ways = [way for t in (self.axes, *self.include) for way in _values_of(t, "parametrization")]
        if ways and all(way == "standard" for way in ways):
            check_base_width("standard", self.base_width, ())
        return self

    @model_validator(mode="after")
    def _in_rounds(self) -> Study:
        """Refuse rounds, of halving or refinement, without an axis that they can go along."""
        try:
            rungs = [axis_values(n, listed(self.axes[n])) for n in LENGTHS if n in self.axes]
        except ValueError:
            return self  # the sweep says what is wrong with an axis
        alone = not {*LENGTHS} & set().union(*self.zip, *self.include)
        lengths = len(rungs) == 1 and len(rungs[0]) > 1 and alone
        if self.halving is not None and not lengths:
            raise unused(
                "halving",
                f"{self.halving} without an axis of two lengths or more, by itself",
                "an axis epochs or steps, in neither zip nor include",
                "Such as epochs = [2, 6, 18] with halving = 3.",
            )
        rates = {*self.axes}.difference(*self.zip, *self.exclude) & {"learning_rate"}
        if self.refine is not None and (self.halving is not None or not rates):
            raise unused(
                "refine",
                f"{self.refine} without rates of their own, or beside halving",
                "an axis learning_rate, in neither zip nor exclude, and no halving",
                "Such as learning_rate = { low = 1e-2, high = 1e2, points_per_decade = 4 }.",
            )
        return self

    @model_validator(mode="after")
    def _about_an_axis(self) -> Study:
        if self.about is not None and self.about not in self.axes:
            raise ValueError(f"about = {self.about!r} is none of the axes: {', '.join(self.axes)}")
        return self

    @property
    def fixed(self) -> Run:
        """The run that every cell starts from; with its axes it was checked as a whole."""
        return Run.model_construct(**{name: getattr(self, name) for name in Run.model_fields})

    def to_json(self) -> str:
        """Return what was said, as text from which another process reads the same study."""
        return self.model_dump_json(exclude_none=True, exclude_unset=True)


def _values_of(axes: Mapping[str, Any], name: str) -> list[Any]:
    given = axes.get(name)
    return list(given) if isinstance(given, list | tuple) else []


def said_twice(said: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> str | None:
    """Return an axis whose field has a value of its own, too; None if there is none.

    Args:
      said: what all cells share.
      tables: the axes, and each include.
    """
    for name in dict.fromkeys(name for table in tables for name in table):
        choice, dot, parameter = name.partition(".")
        wholes = [said.get(choice), *_values_of(tables[0], choice)] if dot else []
        if (not dot and name in said) or any(_gives(each, parameter) for each in wholes):
            return name
    return None


def _gives(whole: Any, parameter: str) -> bool:
    """Tell whether a choice, as given, sets a parameter: one's own function sets them all."""
    if isinstance(whole, Settings):
        return parameter in whole.model_fields_set
    if isinstance(whole, Mapping):
        return parameter in whole
    return whole is not None and not isinstance(whole, str)


def _holds(axis: Any, name: str, given: Any) -> bool:
    """Tell whether an axis has these values already; if they can't be read, the sweep says so."""
    try:
        return set(axis_values(name, listed(given))) <= set(axis_values(name, axis))
    except ValueError:
        return False


def listed(given: Any) -> Any:
    """Return a value as a list of one; a whole schedule, by its name, is a value."""
    is_named = isinstance(given, Mapping) and "name" in given
    return given if isinstance(given, list | Mapping | tuple) and not is_named else [given]


def axis_values(name: str, given: Any, *, repeats: bool = False) -> Sequence[Any]:
    """Return an axis' values, checked and hashable, or raise ValueError or InputError.

    Args:
      name: of the axis.
      given: a list, or a table of a ``Range`` or ``Counted``.
      repeats: a value may be given twice, as in axes that are walked together.
    """
    check_axis_name(name)
    if isinstance(given, Mapping):
        form = Counted if "count" in given and "low" not in given else Range
        spec = form.model_validate_json(json.dumps(given))
        ends = spec.numbers()
        _check_value(name, ends[0])
        _check_value(name, ends[-1])
        return ends
    if not isinstance(given, list | tuple):
        raise ValueError("a list of values, or a table with low and high")
    values = tuple(_check_value(name, value) for value in given)
    if not values:
        raise ValueError("at least one value")
    if len(set(values)) != len(values) and not repeats:
        twice = next(given[n] for n, value in enumerate(values) if value in values[:n])
        raise ValueError(f"values that all differ: {twice!r} is given twice")
    return values


def check_axis_name(name: str) -> None:
    """Raise InputError for a name that is no field of a run, naming the nearest."""
    if name not in axis_names() and not name.startswith("layer_factors."):
        raise unknown_name("axis", name, axis_names())


def axis_names() -> list[str]:
    """Return what may be an axis: the fields of a run, and parameters with a dot."""
    fields = [name for name in Run.model_fields if name not in (*FIXED_FIELDS, "layer_factors")]
    dotted = [
        f"{choice}.{parameter}"
        for choice, (_, table) in CHOICES.items()
        for parameter in sorted({name for known in table.values() for name in known})
    ]
    return [*fields, *dotted, "layer_factors.0"]


def _listed(value: Any) -> Any:
    """Return what JSON has no form for as a list, or as its text: then its field refuses it."""
    return list(value) if isinstance(value, Sequence) else str(value)


def _beside(name: str, value: Any) -> dict[str, Any]:
    """Return what else a run has to say for this value of one field to mean something."""
    if name == "parametrization" and value != "standard":
        return {"base_width": 1}
    widest = {"parametrization": "mup", "hidden_sizes": [MOST_UNITS]}
    return widest if name == "base_width" else {}


def _check_value(name: str, value: Any) -> Any:
    """Return one value of an axis as its field holds it; pydantic raises on a wrong one."""
    if name == "batch_size" and value == "full":  # TOML has no null
        return None
    if name.startswith("layer_factors."):
        return _FACTOR.validate_python(value)
    room, dot, parameter = name.partition(".")
    if not dot:
        plain = value.model_dump(exclude_none=True) if isinstance(value, Settings) else value
        said = {name: plain, **_beside(name, plain)}
        return getattr(Run.model_validate_json(json.dumps(said, default=_listed)), name)
    model, table = CHOICES[room]
    owner = next(choice for choice, known in table.items() if parameter in known)
    return getattr(model.model_validate({"name": owner, parameter: value}), parameter)
