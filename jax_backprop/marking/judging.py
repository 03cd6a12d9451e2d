"""The steps of one reading, held against the equations in the order of the computation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jax_backprop.marking.arrays import ROWS_TURNED, WEIGHTS_TURNED, View
from jax_backprop.marking.conventions import Setting
from jax_backprop.marking.naming import Cause, Evidence, causes
from jax_backprop.marking.network import At, Model, Rule, Step, follow, order
from jax_backprop.marking.patterns import NOTHING, Pattern, near, pattern
from jax_backprop.marking.sequences import Handed

FACTOR = 4  # how many times what float32's rounding does to a step is allowed beside it
DRAWS = 8  # of that rounding: a single one may happen to do little
EPS32 = float(np.finfo(np.float32).eps)


class Judged(NamedTuple):
    """What was found of one step.

    Args:
      step: its name, kind and layer.
      verdict: ``right``; ``wrong``; ``follows``, where it isn't right, yet what its equation gives
        from the student's own earlier steps: the mistake lies before it.
      value: as it was read; None where no layout fits.
      right: what the equation gives from the student's own earlier steps.
      causes: mistakes that give it, where it is wrong; all give the same.
      pattern: what it has in common with the right value, where no cause was found.
      layout: what was assumed to read it.
      unseen: steps before it that weren't handed in, and on which it depends.
    """

    step: Step
    verdict: str
    value: np.ndarray | None
    right: np.ndarray
    causes: tuple[Cause, ...] = ()
    pattern: Pattern = NOTHING
    layout: str = ""
    unseen: tuple[Step, ...] = ()


class Hypothesis(NamedTuple):
    """One reading of everything: the setting, the model's conventions, what was handed in."""

    setting: Setting
    model: Model
    handed: Handed
    turned: frozenset[str]
    notes: tuple[str, ...] = ()


def allowed_distances(
    model: Model, point: dict[str, np.ndarray], tolerance: float, single: bool
) -> dict[str, float]:
    """Return how far each step may be off: more where it was computed in float32.

    There a network that is sure and right loses the digits of Y - L, as anybody's does.
    """
    truth = follow(model, point)
    worst = dict.fromkeys((step.name for step in order(model)), 0.0)
    draw = np.random.default_rng(0)
    top = model.depth
    for _ in range(DRAWS if single else 0):
        own: dict[str, np.ndarray] = {}
        for name in (f"Z{top}", f"A{top}"):
            value = follow(model, point, own, until=name)[name]
            own[name] = value * (1 + EPS32 * draw.choice([-1, 1], size=value.shape))
        moved = follow(model, point, own)
        for name in worst:
            size = max(np.abs(moved[name]).max(), np.abs(truth[name]).max())
            gap = np.abs(moved[name] - truth[name]).max() / size if size else 0.0
            worst[name] = max(worst[name], float(gap))
    return {name: tolerance + FACTOR * each for name, each in worst.items()}


def judge(found: Hypothesis, allowed: dict[str, float], *, name_causes: bool) -> list[Judged]:
    """Return every step that was handed in, in the order of the computation."""
    model, point = found.model, found.setting.point
    truth = follow(model, point)
    own: dict[str, np.ndarray] = {}
    effect: dict[str, Rule] = {}
    rows: list[Judged] = []
    given = _given(found, truth)
    for step in order(model):
        name = step.name
        if name not in given and name not in found.handed.unfit:
            continue
        expected = follow(model, point, own, effect, until=name)[name]
        if name not in given:
            rows.append(Judged(step, "wrong", None, expected))
            continue
        view = _chosen(given[name], truth[name], expected, allowed[name])
        row = Judged(step, "right", view.value, expected, layout=view.layout)
        if not near(view.value, truth[name], allowed[name]):
            if near(view.value, expected, allowed[name]):
                row = row._replace(verdict="follows")
            else:
                row = row._replace(verdict="wrong")
                if name_causes:
                    row = _named(found, row, own, effect, given, allowed, truth)
        for cause in row.causes[:1]:
            effect |= cause.wrong
        own[name] = view.value
        rows.append(row)
    return rows


def _given(found: Hypothesis, truth: dict[str, np.ndarray]) -> dict[str, list[View]]:
    """Return the views of each step, biases that lay within the weights among them."""
    given: dict[str, list[View]] = {}
    for name, every in found.handed.views.items():
        options = every
        square = all(side == options[0].value.shape[0] for side in options[0].value.shape)
        if square and options[0].value.ndim == 2 and len(options) > 1:
            group = "weights" if "W" in name else "rows"
            kept = [each for each in options if is_turned(each) == (group in found.turned)]
            options = kept or options
        given[name] = options
        own = name.replace("W", "b")
        if options[0].biases is not None and own in truth and own not in found.handed.views:
            biases = [each.biases for each in options if each.biases is not None]
            given[own] = [View(each) for each in biases]
    return given


def is_turned(view: View) -> bool:
    """Tell whether an array was transposed to be read."""
    return ROWS_TURNED in view.layout or WEIGHTS_TURNED in view.layout


def _chosen(options: list[View], truth: np.ndarray, expected: np.ndarray, allowed: float) -> View:
    for value in (truth, expected):
        for each in options:
            if near(each.value, value, allowed):
                return each
    return options[0]


def _named(
    found: Hypothesis,
    row: Judged,
    own: dict[str, np.ndarray],
    effect: dict[str, Rule],
    given: dict[str, list[View]],
    allowed: dict[str, float],
    truth: dict[str, np.ndarray],
) -> Judged:
    """Return a wrong step with the mistakes that give it."""
    assert row.value is not None
    values = {name: options[0].value for name, options in given.items()}
    values[row.step.name] = row.value
    evidence = Evidence(found.model, found.setting.point, own, effect, values, allowed, truth)
    finite = np.isfinite(row.value).all()
    if finite and (named := tuple(causes(evidence, row.step.name))):
        return row._replace(causes=named)
    base = follow(found.model, found.setting.point, own, effect)
    at = At(found.model, base, row.step.layer)
    seen = _held_later(found, row, values, allowed, truth) or pattern(
        row.step.kind, row.value, row.right, at, allowed[row.step.name]
    )
    steps = order(found.model)
    before = [each for each in steps[: steps.index(row.step)] if each.name not in own]
    unseen = tuple(each for each in before if each.kind not in ("X", "L", "E"))
    return row._replace(pattern=seen, unseen=unseen)


def _held_later(
    found: Hypothesis,
    row: Judged,
    values: dict[str, np.ndarray],
    allowed: dict[str, float],
    truth: dict[str, np.ndarray],
) -> Pattern | None:
    """Return whether a wrong step is a later one that is right: an array changed in place."""
    assert row.value is not None
    steps = order(found.model)
    for step in steps[steps.index(row.step) + 1 :] if row.value.any() else ():
        right = step.name in values and near(
            values[step.name], truth[step.name], allowed[step.name]
        )
        if right and near(values[step.name], row.value, allowed[row.step.name]):
            called = found.handed.called.get(step.name, step.name)
            text = f"It holds what {called} holds: copy an array before you change it in place."
            return Pattern("changed in place", text, own=True)
    return None
