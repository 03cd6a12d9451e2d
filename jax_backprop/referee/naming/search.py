"""The search: which candidates of the catalogue make the whole error, and nothing but it.

Single ones first, then several: peeled off leaf by leaf, as pairs that add up, and as one mistake
at every place where the same line runs. Whatever is found gets a backward pass of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from jax_backprop.referee.naming.accumulated import accumulated
from jax_backprop.referee.naming.candidates import candidates, of_equation
from jax_backprop.referee.naming.context import FACTORS, Candidate, Context, Found
from jax_backprop.referee.naming.sketch import Sketch, Target

VERIFIED = 40  # candidates that get a backward pass of their own
STEPS = 6  # mistakes, or places of one, that are peeled off one after another
TRIED = 3  # first mistakes that are followed
PLAIN = 2  # the rank up to which mistakes are thought of in pairs or at several places


class Scored(NamedTuple):
    """A candidate's products, and the groups of leaves that it explains."""

    found: Found
    products: np.ndarray
    met: np.ndarray


class Searched(NamedTuple):
    """The problem that stays the same.

    Args:
      sketch: the derivatives that candidates are judged by.
      deadline: until when, in seconds of the monotonic clock.
      firm: share of the error; what is off by more along a direction is no explanation.
    """

    sketch: Sketch
    deadline: float
    firm: float = 1e-6

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.deadline

    def effect(self, candidate: Candidate) -> tuple[np.ndarray, np.ndarray]:
        """Return a candidate's error, and its products with the sketch's directions."""
        with np.errstate(all="ignore"):
            error = np.asarray(candidate.make())
            return error, self.sketch.of(candidate.slot, error)

    def disturbs(self, target: Target) -> Callable[[np.ndarray], bool]:
        """Return what tells of products whether they disturb a leaf that is right."""
        failing = self.sketch.failing(target)
        most = self.firm * np.linalg.norm(self.sketch.of_error(target.error)[failing])
        return lambda products: bool(np.abs(products[~failing]).max(initial=0) > most)


class Sought(NamedTuple):
    """A mistake to be made in a pass that others spoiled.

    Args:
      equations: whose candidates it is among.
      is_same: whether a candidate is the one.
      factor: of an error that is known up to a factor.
    """

    equations: Sequence[int]
    is_same: Callable[[Candidate], bool]
    factor: float


def search(at: Context, target: Target, searched: Searched) -> list[list[Found]]:
    """Return the explanations, each of one mistake or several; what is said first comes first."""
    everything = list(scored(at, target, searched, len(at.passes.program.equations)))
    failing = searched.sketch.failing(target)
    singles = [each.found for each in everything if each.met[failing].all()]
    singles.sort(key=lambda found: (found.rank, -found.candidate.equation))
    met = [each for each in singles[:VERIFIED] if target.meets(effect(at, each))]
    if met:
        return [[each] for each in met]
    several = (
        accumulated(at, target)
        or _peeled(at, target, searched, everything, STEPS)
        or _pair(at, target, searched, everything)
        or _repeated(at, target, searched)
    )
    return [several] if several else []


def scored(at: Context, target: Target, searched: Searched, below: int) -> Iterator[Scored]:
    """Yield the candidates before an equation that disturb no leaf that is right."""
    wanted, failing = searched.sketch.of_error(target.error), searched.sketch.failing(target)
    disturbs = searched.disturbs(target)
    for each in candidates(at, below):
        if searched.late:
            return
        error, products = searched.effect(each)
        if not np.isfinite(products).all() or disturbs(products):
            continue
        factor = 1.0
        if each.scaled:
            lead = products[np.argmax(np.linalg.norm(products, axis=1))]
            row = wanted[np.argmax(np.linalg.norm(products, axis=1))]
            factor = float(lead @ row / (lead @ lead)) if lead.any() else 0.0
        gaps = np.linalg.norm(wanted - factor * products, axis=1)
        met = (gaps <= searched.firm * np.linalg.norm(wanted, axis=1)) & failing
        yield Scored(Found(each, factor, np.asarray(factor * error)), factor * products, met)


def effect(at: Context, found: Found) -> list[np.ndarray]:
    """Return what a mistake does to the parameters' gradient."""
    return at.passes.backward({found.candidate.slot: found.error}).grads


def _peeled(
    at: Context,
    target: Target,
    searched: Searched,
    options: Sequence[Scored],
    steps: int,
    before: str = "",
) -> list[Found]:
    """Explain leaf after leaf: the mistake nearest to the loss first, the others behind it.

    Of mistakes one after another those of the same kind come first: they are one mistake's.
    """

    def order(each: Scored) -> tuple[bool, int, int, float]:
        candidate = each.found.candidate
        other = _at_line(at, candidate) != before
        return other, -candidate.equation, -int(each.met.sum()), each.found.rank

    ordered = sorted((each for each in options if each.met.any()), key=order)
    tried: list[np.ndarray] = []
    for option in ordered:
        if any(np.allclose(option.products, other) for other in tried):
            continue
        tried.append(option.products)
        first = option.found
        rest = target.less(effect(at, first))
        if not rest.failing.any():
            return [first]
        if len(tried) > TRIED or steps == 1 or searched.late:
            return []
        if rest.failing.sum() < target.failing.sum():
            after = at.with_error(first.candidate.slot, first.error)
            others = list(scored(after, rest, searched, first.candidate.equation + 1))
            line = _at_line(at, first.candidate)
            if found := _peeled(after, rest, searched, others, steps - 1, line):
                return [first, *found]
    return []


def _at_line(at: Context, candidate: Candidate) -> str:
    """Return a mistake's kind and line."""
    return f"{candidate.kind} in {at.equation(candidate.equation)}"


def _plain(everything: Sequence[Scored]) -> list[Scored]:
    """Return the mistakes that are thought of together, with the usual factors."""
    found = []
    for each in everything:
        candidate, factor = each.found.candidate, each.found.factor
        if candidate.rank > PLAIN:
            continue
        if not candidate.scaled:
            found.append(each)
        elif factor:
            error, products = each.found.error / factor, each.products / factor
            found += [
                Scored(
                    Found(candidate, m - 1, np.asarray((m - 1) * error)),
                    (m - 1) * products,
                    each.met,
                )
                for m in FACTORS
            ]
    return found


def _pair(
    at: Context, target: Target, searched: Searched, everything: Sequence[Scored]
) -> list[Found]:
    """Find two mistakes whose errors add up, whatever leaves they share."""
    options = _plain(everything)
    if not options:
        return []
    wanted = searched.sketch.of_error(target.error).ravel()
    products = np.stack([each.products.ravel() for each in options])
    mixed = np.random.default_rng(1).normal(size=wanted.size)
    line, whole = products @ mixed, wanted @ mixed
    order = np.argsort(line)
    slack = searched.firm * np.abs(mixed) @ np.abs(wanted)
    for first in range(len(options)):
        low = np.searchsorted(line[order], whole - line[first] - slack)
        for second in order[low:]:
            if line[second] > whole - line[first] + slack or searched.late:
                break
            off = np.linalg.norm(wanted - products[first] - products[second])
            if off > searched.firm * np.linalg.norm(wanted):
                continue
            both = [options[first].found, options[second].found]
            both.sort(key=lambda found: -found.candidate.equation)
            if found := _in_turn(at, target, [_again(at, each) for each in both]):
                return found
    return []


def _again(at: Context, mistake: Found) -> Sought:
    """Return what finds a mistake in another pass."""
    one = mistake.candidate
    numbers = {one.equation, at.passes.numbers.get(one.slot, one.equation)}
    return Sought(
        sorted(numbers), lambda each: (each[:3], each.slot) == (one[:3], one.slot), mistake.factor
    )


def _in_turn(at: Context, target: Target, mistakes: Iterable[Sought]) -> list[Found]:
    """Make mistakes one after another, each in the pass that those before spoiled.

    Empty where one isn't found there, or where all together don't make the error.
    """
    after, made = at, []
    for sought in mistakes:
        options = (each for n in sought.equations for each in of_equation(after, n))
        if (now := next(filter(sought.is_same, options), None)) is None:
            return []
        factor = sought.factor if now.scaled else 1.0
        with np.errstate(all="ignore"):
            error = np.asarray(now.make() * factor)
        if not np.isfinite(error).all():
            return []
        made.append(Found(now, factor, error))
        after = after.with_error(now.slot, error)
    grads = zip(after.back.grads, at.back.grads, strict=True)
    return made if target.meets([wrong - right for wrong, right in grads]) else []


def _repeated(at: Context, target: Target, searched: Searched) -> list[Found]:
    """Find one mistake at all places of a line: in every step of a loop, in every layer."""
    disturbs = searched.disturbs(target)
    for numbers in dict.fromkeys(at.passes.runs.values()):
        if len(numbers) < 2:
            continue
        options = [
            each for each in of_equation(at, numbers[-1]) if each.rank <= PLAIN + 1 or each.anywhere
        ]
        options.sort(key=lambda each: each.rank)
        keys = (_key(each) for each in options if not disturbs(searched.effect(each)[1]))
        for key in dict.fromkeys(keys):
            there = [n for n in numbers if key[0] < 0 or key[0] in at.passes.places(at.equation(n))]
            several = (there, there[1:], there[:-1]) if len(there) > 2 else (there,)
            multiples = FACTORS if key[1] == "factor" else (0.0,)
            for run, multiple in product(several, multiples):
                if searched.late:
                    return []
                sought = [
                    Sought([number], lambda each, key=key: _key(each) == key, multiple - 1)
                    for number in reversed(run)
                ]
                if found := _in_turn(at, target, sought):
                    return found
    return []


def _key(candidate: Candidate) -> tuple[int, str]:
    return candidate.place, candidate.kind
