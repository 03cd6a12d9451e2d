"""Which mistakes of the catalogue give what a student handed in."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from jax_backprop.marking.catalogue import Mistake, catalogue, rarer
from jax_backprop.marking.network import RIGHT, At, Model, Number, Rule, Step, Values, follow, order
from jax_backprop.marking.patterns import LEAST, ROUNDING, is_nothing, near, ratio

OTHER = "other labels"
MOST_SEARCHED = 12  # examples whose labels are tried, 2^12 for each class
_FACTORS: tuple[tuple[Callable[[int], float], str, str], ...] = (
    (lambda n: 1 / n, "1/N too much as well", "And it is divided by N once more."),
    (lambda n: n, "1/N missing as well", "And 1/N is missing."),
    (lambda n: -1.0, "its sign turned as well", "And its sign is turned."),
    (lambda n: 0.5, "halved as well", "And there is a factor 1/2 too much."),
    (lambda n: 2.0, "doubled as well", "And there is a factor 2 too much."),
)
WHOLE = 1e-6  # distance of a label from 0 or 1 that is none
LINEAR = ("dY", "dW", "db", "dA", "dZ")  # steps whose factor all that follow carry


class Cause(NamedTuple):
    """A mistake, where it was made, and its rank among its kind: the likelier before."""

    mistake: Mistake
    steps: tuple[Step, ...]
    rank: int

    @property
    def wrong(self) -> dict[str, Rule]:
        """The wrong rules by the names of steps."""
        return {step.name: self.mistake.rule for step in self.steps}


class Evidence(NamedTuple):
    """What was handed in: the steps before the wrong one, that one, and those after.

    Args:
      effect: rules that mistakes named before have put in place.
      allowed: relative distance of each step that counts as none.
      truth: every step's right value.
    """

    model: Model
    point: Values
    own: Values
    effect: Mapping[str, Rule]
    given: Values
    allowed: Mapping[str, float]
    truth: Values


def causes(found: Evidence, name: str) -> list[Cause]:
    """Return the causes that give a wrong step, and explain most of the steps that follow.

    A mistake may lie at the step itself, or at one before it that wasn't handed in. Those that are
    returned give the same values: none can be told from another by what was handed in.
    """
    steps = order(found.model)
    place = next(n for n, step in enumerate(steps) if step.name == name)
    before = [step for step in steps[:place] if step.name not in found.own]
    base = follow(found.model, found.point, found.own, found.effect)
    places = [*before, steps[place]]
    with warnings.catch_warnings():  # a wrong rule may divide by anything
        warnings.simplefilter("ignore", RuntimeWarning)
        known = [*_candidates(steps, places), *_other_labels(found, base)]
        best = _best(found, name, known, base)
        if not best:
            more = [
                *_candidates(steps, places, rarer),
                *_scaled(found, base, places, name),
                *_factors(found, base, places, name),
            ]
            best = _best(found, name, more, base) or _inlined(found, steps[place])
    named = {cause.steps for cause in best if not cause.mistake.slip}
    best = [each for each in best if not _idle(found, name, each, named)]
    labels = [cause for cause in best if cause.mistake.kind == "L"]
    if len(labels) > 1:  # those that are known by name say more
        best = [cause for cause in best if cause.mistake.name != OTHER]
    return sorted(best, key=lambda cause: (cause.rank, cause.steps[0].name != name))


def _best(found: Evidence, name: str, candidates: Iterable[Cause], base: Values) -> list[Cause]:
    """Return the causes that give a step, of them those that explain most of what follows."""
    steps = order(found.model)
    later = steps[next(n for n, step in enumerate(steps) if step.name == name) + 1 :]
    matches: list[tuple[int, Cause]] = []
    for cause in candidates:
        first = steps.index(cause.steps[0])
        own = {step.name: base[step.name] for step in steps[:first]} | dict(found.own)
        if _gives(found._replace(own=own), name, cause) and _spares(found, steps, first, cause):
            count = _explained(found, later, name, cause)
            if count is not None:
                matches.append((count, cause))
    most = max((count for count, _ in matches), default=0)
    return [cause for count, cause in matches if count == most]


def _idle(found: Evidence, name: str, cause: Cause, named: set[tuple[Step, ...]]) -> bool:
    """Tell whether a slip says nothing: its steps have a better name, or numbers that are all 0."""
    names = {name, *(step.name for step in cause.steps)} & found.given.keys()
    zeros = all(is_nothing(found.given[each], found.truth[each]) for each in names)
    return cause.mistake.slip and (zeros or cause.steps in named)


def _candidates(
    steps: tuple[Step, ...],
    places: list[Step],
    mistakes: Callable[[str], tuple[Mistake, ...]] = lambda kind: catalogue().get(kind, ()),
) -> Iterator[Cause]:
    """Yield every mistake at every place, and in all layers at once from there on."""
    for step in places:
        like = tuple(each for each in steps if each.kind == step.kind)
        for rank, mistake in enumerate(mistakes(step.kind)):
            yield Cause(mistake, (step,), rank)
            if len(like) > 1 and like[0] == step:
                yield Cause(mistake, like, rank)


def _inlined(found: Evidence, step: Step) -> list[Cause]:
    """Return mistakes of earlier steps, right where they stand, that were made within this one."""
    for earlier in reversed(order(found.model)):
        if earlier.name not in found.own:
            continue
        for rank, mistake in enumerate(catalogue().get(earlier.kind, ())):
            what = f"Within this step, of what comes before it: {mistake.what}"
            rule = partial(_within, earlier, mistake.rule, RIGHT[step.kind])
            inner = Cause(Mistake(step.kind, mistake.name, what, rule), (step,), rank)
            if _gives(found, step.name, inner):
                return [inner]
    return []


def _within(earlier: Step, wrong: Rule, right: Rule, at: At) -> Number:
    """Return what a right rule makes of one wrong value."""
    value = np.asarray(wrong(At(at.model, at.values, earlier.layer)), float)
    if value.shape != at.values[earlier.name].shape:
        raise ValueError("another shape")
    return right(At(at.model, {**at.values, earlier.name: value}, at.layer))


def _other_labels(found: Evidence, base: Values) -> Iterator[Cause]:
    """Yield the labels that a student's own gradients speak of, if they may be some."""
    top = found.model.depth
    at = At(found.model, base, top)
    outputs = found.given.get(f"A{top}", base[f"A{top}"])
    if "L" in found.own:
        return
    if f"dZ{top}" in found.given:
        labels = outputs - found.given[f"dZ{top}"] / at.in_delta
    elif f"dW{top}" in found.given and len(outputs) <= MOST_SEARCHED:
        labels = _searched_labels(found, at, outputs)
    else:
        return
    if labels.shape != at.labels.shape or not np.isfinite(labels).all():
        return
    if "E" not in found.given and not _whole(labels):
        return
    rows = np.flatnonzero(np.abs(labels - at.labels).max(axis=1) > WHOLE)
    said = f"Your outputs and deltas speak of other labels, at the examples {list(map(int, rows))}"
    mistake = Mistake("L", OTHER, f"{said} (counted from 0).", lambda at: labels)
    yield Cause(mistake, (Step("L", "L", top),), len(catalogue()["L"]))


def _whole(labels: np.ndarray) -> bool:
    near_one = np.abs(labels - np.round(labels)).max() < WHOLE
    return bool(near_one and np.isin(np.round(labels), (0, 1)).all())


def _searched_labels(found: Evidence, at: At, outputs: np.ndarray) -> np.ndarray:
    """Return the labels of 0 and 1 by which the last weights' gradient follows; none: empty."""
    below = at("A", -1)
    late = at.in_delta * at.in_weights
    data = found.given[f"dW{at.layer}"] - at.penalty * at("W")
    wanted = (below.T @ outputs - data / late).T  # a row a class: what its labels pick out
    examples = len(outputs)
    every = np.arange(2**examples)[:, None] >> np.arange(examples) & 1
    gaps = np.abs((every @ below)[None] - wanted[:, None]).max(axis=2)
    best = gaps.argmin(axis=1)
    allowed = found.allowed[f"dW{at.layer}"] * np.abs(wanted).max()
    if gaps.min(axis=1).max() > allowed:
        return np.empty(0)
    return every[best].T.astype(float)


def _scaled(found: Evidence, base: Values, places: list[Step], name: str) -> Iterator[Cause]:
    """Yield the mistakes of backward steps that give a value but for a usual factor."""
    steps, examples = order(found.model), len(found.point["A0"])
    if found.given[name].size < LEAST:
        return
    for cause in _candidates(steps, [step for step in places if step.kind in LINEAR]):
        first = steps.index(cause.steps[0])
        own = {step.name: base[step.name] for step in steps[:first]} | dict(found.own)
        values = _made(found._replace(own=own), name, cause)
        factor = 0.0 if values is None else ratio(found.given[name], values)
        for wrong, said, more in _FACTORS:
            size = wrong(examples)
            if len(cause.steps) == 1 and abs(factor - size) < found.allowed[name] * abs(size):
                kind, text, what, rule, _ = cause.mistake
                told = f"{text}, {said}", f"{what} {more}"
                yield cause._replace(mistake=Mistake(kind, *told, partial(_times, size, rule)))


def _factors(found: Evidence, base: Values, places: list[Step], name: str) -> Iterator[Cause]:
    """Yield a constant factor at each backward step that may have brought it in."""
    factor = ratio(found.given[name], base[name])
    if found.given[name].size < LEAST or not factor or not np.isfinite(factor):
        return
    for step in places:
        if step.kind in LINEAR:
            what = f"It is {factor:.4g} times what it should be."
            rule = partial(_times, factor, RIGHT[step.kind])
            yield Cause(Mistake(step.kind, "a constant factor", what, rule), (step,), 0)


def _times(factor: float, rule: Rule, at: At) -> Number:
    return factor * np.asarray(rule(at))


def _made(found: Evidence, name: str, cause: Cause) -> np.ndarray | None:
    """Return what a cause makes of a step; None where it doesn't apply."""
    wrong = {**found.effect, **cause.wrong}
    try:
        return follow(found.model, found.point, found.own, wrong, until=name)[name]
    except (NameError, LookupError, ValueError, TypeError):
        return None


def _gives(found: Evidence, name: str, cause: Cause) -> bool:
    """Tell whether a cause gives the step that was handed in."""
    made = _made(found, name, cause)
    floor = ROUNDING * float(np.abs(found.truth[name]).max(initial=0))
    return made is not None and near(found.given[name], made, found.allowed[name], floor)


def _spares(found: Evidence, steps: tuple[Step, ...], first: int, cause: Cause) -> bool:
    """Tell whether a cause leaves the steps after it, handed in and right, as they are."""
    own = dict(found.own)
    for step in steps[first + 1 :][::-1]:
        if step.name in own:
            del own[step.name]
            if not _gives(found._replace(own=own, given=found.own), step.name, cause):
                return False
    return True


def _explained(found: Evidence, later: tuple[Step, ...], name: str, cause: Cause) -> int | None:
    """Count the steps after the wrong one that follow, once the cause is assumed.

    None where a mistake before it would have spoilt a step that is right.
    """
    own, count = {**found.own, name: found.given[name]}, 0
    before = all(step.name != name for step in cause.steps)
    for step in later:
        if step.name in found.given:
            follows = _gives(found._replace(own=own), step.name, cause)
            truth, allowed = found.truth[step.name], found.allowed[step.name]
            if before and not follows and near(found.given[step.name], truth, allowed):
                return None
            count += follows
            own[step.name] = found.given[step.name]
    return count
