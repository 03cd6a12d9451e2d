"""From a wrong gradient to the line of the loss whose backward is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from jax_backprop.referee.naming.context import Context, Found
from jax_backprop.referee.naming.equations import trace
from jax_backprop.referee.naming.facts import Facts
from jax_backprop.referee.naming.passes import Passes
from jax_backprop.referee.naming.patterns import patterns_of
from jax_backprop.referee.naming.placement import place
from jax_backprop.referee.naming.recomputed import leaves_the_loss
from jax_backprop.referee.naming.search import Searched, search
from jax_backprop.referee.naming.sketch import Sketch, Target
from jax_backprop.referee.naming.wording import Named, computed_otherwise, named, placed
from jax_backprop.referee.report import Diagnosis

AGREES = 1e-6  # of autodiff's own gradient: the equations are the loss's
SMALL = 1e-6  # of the largest leaf's gradient: below, a leaf's own size says nothing of rounding
MOST_SHARE = 0.1  # of the error that rounding may be: beyond, nothing is named


Loss = Callable[..., object]
NAMES = 0.7  # of the budget: the rest is for a place, where no name is found
CUT = "the search for a name was cut short: a larger budget goes on"


def diagnose(
    loss: Loss | None,
    facts: Facts,
    *,
    judged: Loss | None = None,
    rounding: float = 1e-10,
    budget: float = 20.0,
) -> list[Diagnosis]:
    """Return the likely bugs of a wrong gradient, by the loss's own equations if it is given.

    Args:
      loss: of the differentiated arrays alone, traceable in float64; None where there is none.
      facts: arrays, judged gradient and true gradient of all leaves, in float64.
      judged: that gradient as one number of them, likewise.
      rounding: of the judged gradient, relative.
      budget: seconds.
    """
    found, passes, deadline = [], None, time.monotonic() + budget
    if loss is not None and budget > 0:
        found, passes = by_equations(loss, facts, rounding, deadline, judged)
    leaves = tuple(facts.paths[position] for position in facts.failing)
    diagnoses = [each.diagnosis(leaves) for each in found]
    known = bool(found) and found[0].bug != "unknown"
    if known and len({each.bug for each in found}) == 1:
        return diagnoses
    if known:  # several mistakes, unless leaves in each other's place are one
        patterns = list(patterns_of(facts))
        return patterns if [each.bug for each in patterns] == ["swapped"] else diagnoses
    for less in (facts, *(_by_one_use(passes, facts) if passes else ())):
        patterns = list(patterns_of(less))
        if all(each.bug != "unknown" for each in patterns):
            return patterns
    told = diagnoses or list(patterns_of(facts))
    if loss is None or time.monotonic() < deadline - (1 - NAMES) * budget:
        return told
    return [each._replace(evidence=f"{each.evidence}; {CUT}".lstrip("; ")) for each in told]


def _by_one_use(passes: Passes, facts: Facts) -> Iterator[Facts]:
    """Yield the facts with what all uses of a parameter but one add to its gradient taken off.

    A penalty's gradient, which is right, hides what is wrong in the data's.
    """
    parts = passes.base.contributions
    uses = [
        sorted((parts[use] for use in passes.uses[slot] if use in parts), key=np.linalg.norm)[::-1]
        for slot in passes.program.leaves
    ]
    for kept in range(max(map(len, uses))):
        others = [sum((*each[:kept], *each[kept + 1 :])) if len(each) > 1 else 0 for each in uses]
        less = {
            name: [np.asarray(a - b) for a, b in zip(getattr(facts, name), others, strict=True)]
            for name in ("hand", "truth")
        }
        yield facts._replace(**less)


def by_equations(
    loss: Loss, facts: Facts, rounding: float, deadline: float, judged: Loss | None = None
) -> tuple[list[Named], Passes | None]:
    """Return the mistakes in the loss's equations that make the judged gradient, or their place."""
    names_until = time.monotonic() + NAMES * (deadline - time.monotonic())
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        target = target_of(facts, rounding)
        if not target.failing.any() or rounding > MOST_SHARE * target.size:
            return [], None
        passes = passes_of(loss, facts, opened=False)
        if passes is None:
            return [], None
        found = explain(passes, target, rounding, names_until)
        inside = passes
        if passes.program.loops and within_a_loop(found):
            inside = passes_of(loss, facts, opened=True) or passes
            found = explain(inside, target, rounding, names_until) or found
        if found:
            return found, passes
        places = ((each, place(each, target, deadline)) for each in dict.fromkeys((inside, passes)))
        at, where = next((pair for pair in places if pair[1] is not None), (passes, None))
        if judged is not None and (where is None or not where.is_one_array):
            first = leaves_the_loss(inside, judged, facts)
            if first is not None:
                return [computed_otherwise(first)], passes
        return [] if where is None else [placed(at, where)], passes


def within_a_loop(found: Sequence[Named]) -> bool:
    """Whether a mistake was found nowhere, or at a loop as a whole: then loops are opened."""
    return not found or any(each.place.startswith("scan") for each in found)


def explain(passes: Passes, target: Target, rounding: float, deadline: float) -> list[Named]:
    """Return the mistakes of the catalogue that make an error, [] if none does."""
    firm = max(1e-7, 10 * rounding / target.size)
    searched = Searched(Sketch(passes, target.scales), deadline, firm)
    found = search(Context(passes, passes.base, {}), target, searched)
    return named(passes, found, _residual(passes, found[0], target)) if found else []


def target_of(facts: Facts, rounding: float) -> Target:
    """Return what is to be explained of a judged gradient."""
    error = [np.asarray(hand - right) for hand, right in zip(facts.hand, facts.truth, strict=True)]
    sizes = [
        max(float(np.linalg.norm(hand)), float(np.linalg.norm(right)))
        for hand, right in zip(facts.hand, facts.truth, strict=True)
    ]
    scales = [max(size, SMALL * max(sizes)) for size in sizes]
    return Target(error, scales, [rounding * scale for scale in scales])


def passes_of(loss: Loss, facts: Facts, *, opened: bool) -> Passes | None:
    """Return the loss's passes, rules of its own opened where that leaves the gradient as it is."""
    for rules in (False, True):
        try:
            program = trace(loss, facts.params, opened=opened, rules=rules)
            passes = Passes(program, facts.params, facts.paths)
            grads = passes.base.grads
        except (TypeError, ValueError, NotImplementedError):
            continue
        size = max(float(np.linalg.norm(right)) for right in facts.truth)
        gaps = [np.linalg.norm(a - b) for a, b in zip(grads, facts.truth, strict=True)]
        if max(gaps) <= AGREES * size:
            return passes
    return None


def _residual(passes: Passes, found: Sequence[Found], target: Target) -> float:
    """Return the share of the error that a mistake leaves, or several together."""
    errors: dict[int, np.ndarray] = {}
    for each in found:
        slot = each.candidate.slot
        errors[slot] = errors[slot] + each.error if slot in errors else each.error
    return target.less(passes.backward(errors).grads).size / target.size
