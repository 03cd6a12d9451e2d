"""Which mistakes of the catalogue give what a student handed in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from jax_backprop.marking.catalogue import Mistake, catalogue
from jax_backprop.marking.network import Model, Rule, Step, Values, follow, order
from jax_backprop.marking.patterns import near

ROUNDING = 1e-13  # of the right value: numbers below it are none


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
    matches: list[tuple[int, Cause]] = []
    with warnings.catch_warnings():  # a wrong rule may divide by anything
        warnings.simplefilter("ignore", RuntimeWarning)
        for cause in _candidates(steps, [*before, steps[place]]):
            first = steps.index(cause.steps[0])
            own = {step.name: base[step.name] for step in steps[:first]} | dict(found.own)
            if _gives(found._replace(own=own), name, cause) and _spares(found, steps, first, cause):
                matches.append((_explained(found, steps[place + 1 :], name, cause), cause))
    most = max((count for count, _ in matches), default=0)
    best = [cause for count, cause in matches if count == most]
    return sorted(best, key=lambda cause: (cause.rank, cause.steps[0].name != name))


def _candidates(steps: tuple[Step, ...], places: list[Step]) -> Iterator[Cause]:
    """Yield every mistake at every place, and in all layers at once from there on."""
    for step in places:
        like = tuple(each for each in steps if each.kind == step.kind)
        for rank, mistake in enumerate(catalogue().get(step.kind, ())):
            yield Cause(mistake, (step,), rank)
            if len(like) > 1 and like[0] == step:
                yield Cause(mistake, like, rank)


def _gives(found: Evidence, name: str, cause: Cause) -> bool:
    """Tell whether a cause gives the step that was handed in."""
    wrong = {**found.effect, **cause.wrong}
    try:
        values = follow(found.model, found.point, found.own, wrong, until=name)
        floor = ROUNDING * float(np.abs(found.truth[name]).max(initial=0))
        return near(found.given[name], values[name], found.allowed[name], floor)
    except (NameError, LookupError, ValueError, TypeError):
        return False  # it doesn't apply there


def _spares(found: Evidence, steps: tuple[Step, ...], first: int, cause: Cause) -> bool:
    """Tell whether a cause leaves the steps after it, handed in and right, as they are."""
    own = dict(found.own)
    for step in steps[first + 1 :][::-1]:
        if step.name in own:
            del own[step.name]
            if not _gives(found._replace(own=own, given=found.own), step.name, cause):
                return False
    return True


def _explained(found: Evidence, later: tuple[Step, ...], name: str, cause: Cause) -> int:
    """Count the steps after the wrong one that follow, once the cause is assumed."""
    own, count = {**found.own, name: found.given[name]}, 0
    for step in later:
        if step.name in found.given:
            count += _gives(found._replace(own=own), step.name, cause)
            own[step.name] = found.given[step.name]
    return count
