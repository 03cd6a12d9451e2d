"""All mutants, and how right a diagnosis of one is."""

from __future__ import annotations

from collections.abc import Sequence

from first_set import FIRST_SET
from fourth_set import FOURTH_SET
from planting import LINES
from second_set import SECOND_SET
from third_set import THIRD_SET

from jax_backprop.referee import Diagnosis

MUTANTS = {mutant.name: mutant for mutant in (*FIRST_SET, *SECOND_SET, *THIRD_SET, *FOURTH_SET)}
PLACES = ("unknown", "line_factors")  # of a diagnosis that has a line: where, but not what


def outcome(said: Sequence[Diagnosis], right: Sequence[str]) -> str:
    """Return how right a diagnosis is: by its line, or by its name where it has no line."""
    if not said or (not said[0].place and said[0].bug == "unknown"):
        return "nothing said"
    parts = [part for group in right for part in LINES.get(group, ())]
    met = all(
        any(part in each.line for part in parts) if each.place else each.bug in right
        for each in said
    )
    known = "placed" if said[0].bug in PLACES else "named"
    return f"{known} {'right' if met else 'wrong'}"
