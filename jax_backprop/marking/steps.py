"""A student's own steps: conventions are found, and the first wrong step is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from jax_backprop.errors import unknown_name
from jax_backprop.marking.conventions import Setting, settings
from jax_backprop.marking.judging import Hypothesis, Judged, allowed_distances, is_turned, judge
from jax_backprop.marking.network import ACTIVATIONS, OUTPUTS, Model
from jax_backprop.marking.readings import readings
from jax_backprop.marking.report import LEVELS, StepsReport
from jax_backprop.marking.sequences import Handed, flat_numbers

if TYPE_CHECKING:
    from jax_backprop.settings import Network

TOLERANCE = 1e-5
SOFTMAX, SIGMOIDS = "softmax_cross_entropy", "sigmoid_cross_entropy"
REDUCTIONS = ("mean", "sum", "any")
PENALTY_OVER_N = "the penalty is l2 / 2N"


def check_steps(
    steps: object,
    params: object,
    batch: object,
    *,
    network: Network | None = None,
    activation: str = "sigmoid",
    loss: str | None = None,
    l2: float = 0.0,
    reduction: str = "any",
    learning_rate: float | None = None,
    layer_sizes: Sequence[int] | None = None,
    tolerance: float = TOLERANCE,
    hints: str = "how",
) -> StepsReport:
    """Name the first of a student's own steps that its equation doesn't give.

    Any of the steps may be handed in, under their usual names (``Z1``, ``hidden``, ``a2``,
    ``delta2``, ``dW1``, ``grad_b2``, ``Theta1_grad``, ``d_logits``, ``new_W1`` ...), as a tuple of
    gradients or as one unrolled vector. Layouts are found, not demanded: weights (d, H) or (H, d),
    examples in rows or columns, biases apart, in a row or column of the weights, or absent; labels
    from 0 or 1, one-hot or a column; a mean or a sum, its 1/N in the deltas or in the gradients.
    What was assumed is in the report.

    Each step is computed anew from the student's OWN earlier ones, so that the first wrong step is
    the one that doesn't follow from them.

    Args:
      steps: a dictionary, a tuple or list of arrays, or a vector.
      params: ((W1, b1), (W2, b2), ...), a dictionary, or a vector.
      batch: inputs and labels, or real targets of a squared error: a pair, a ``Batch``, or a
        dictionary.
      network: gives ``activation`` and ``loss`` in one.
      activation: of the hidden layers: sigmoid, tanh or relu.
      loss: softmax_cross_entropy, sigmoid_cross_entropy (K sigmoid outputs) or squared_error (half
        of it, of a linear output). Left out, softmax is judged, or sigmoids where all steps, their
        loss among them, are right with those.
      l2: penalty l2 / 2 times the sum of squared weights; or lambda, as in lambda / 2m: found.
      reduction: over the examples: mean, sum, or any: found, and said.
      learning_rate: of the update, if updated parameters are among the steps.
      layer_sizes: of unrolled parameters of more than one hidden layer.
      tolerance: a step is right within this share of its largest element. What was computed in
        float32 is allowed 4 times what its rounding does.
      hints: where, what or how: the most that the report tells.

    Returns:
      The report: print it, or look at it in a notebook.

    Raises:
      InputError: there is no step among what was handed in, or shapes that fit no network.

    Example:
      >>> import numpy as np
      >>> from jax_backprop import check_steps
      >>> params = ((np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2)))
      >>> hidden = 1 / (1 + np.exp(-np.eye(2)))
      >>> report = check_steps({"A1": hidden, "dA1": hidden}, params, (np.eye(2), [0, 1]))
      >>> report.passed, report.first.step, report.first.equation
      (False, 'dA1', '(18N)')
    """
    if network is not None:
        activation, loss = network.activation, network.loss
    _check_names(activation, loss, reduction, hints)
    rate = float("nan") if learning_rate is None else float(learning_rate)
    model = Model((), activation, loss or SOFTMAX, float(l2), learning_rate=rate)
    found = _Search(tolerance, _single(steps), loss)
    targets = loss == "squared_error"
    for setting in settings(params, batch, layer_sizes, targets=targets):
        for hypothesis in _hypotheses(steps, setting, model, loss, reduction):
            if found.tried(hypothesis):
                return found.report(hints)
    return found.report(hints)


def _check_names(activation: str, loss: str | None, reduction: str, hints: str) -> None:
    for what, name, known in (
        ("activation", activation, ACTIVATIONS),
        ("loss", loss or SOFTMAX, OUTPUTS),
        ("reduction", reduction, REDUCTIONS),
        ("level of hints", hints, LEVELS),
    ):
        if name not in known:
            raise unknown_name(what, str(name), known)


class _Search:
    """The readings tried so far, and the one with the fewest wrong steps."""

    def __init__(self, tolerance: float, single: bool, asked: str | None) -> None:
        self.tolerance, self.single, self.asked = tolerance, single, asked
        self.best: tuple[int, Hypothesis] | None = None
        self.loss = ""  # its verdict there
        self.right: set[str] = set()  # of the loss and the output deltas, what is right there

    def tried(self, hypothesis: Hypothesis) -> bool:
        """Judge by a reading; True if all is right by it."""
        rows = judge(hypothesis, self._allowed(hypothesis), name_causes=False)
        wrong = sum(row.verdict == "wrong" for row in rows)
        several = hypothesis.setting.sizes[-1] > 1
        if hypothesis.model.loss == SIGMOIDS and self.asked is None and several:
            # Outputs that nobody asked for are believed only where everything agrees.
            loss_given = any(row.step.kind == "E" for row in rows)
            if wrong or not loss_given:
                return False
        # No other convention makes a loss or output deltas wrong that were right, and with the loss
        # at hand a single step fewer is no sign of one, unless it is the loss that it makes right.
        right = {row.step.kind for row in rows if row.verdict == "right"} & {"E", "dY"}
        if not self.right <= right:
            return False
        loss = next((row.verdict for row in rows if row.step.kind == "E"), "")
        margin = 2 if wrong and loss and loss in ("wrong", self.loss) else 1
        if self.best is None or wrong <= self.best[0] - margin:
            self.best, self.loss, self.right = (wrong, hypothesis), loss, right
        return wrong == 0

    def report(self, hints: str) -> StepsReport:
        """Return the report by the best reading, causes named.

        Where the penalty may be read in two ways, that one in which mistakes explain more.
        """
        assert self.best is not None
        wrong, hypothesis = self.best
        rows = judge(hypothesis, self._allowed(hypothesis), name_causes=True)
        for other in _other_penalty(hypothesis) if wrong else ():
            plain = judge(other, self._allowed(other), name_causes=False)
            right = {row.step.kind for row in plain if row.verdict == "right"}
            if self.right <= right and sum(row.verdict == "wrong" for row in plain) <= wrong:
                named = judge(other, self._allowed(other), name_causes=True)
                if _unexplained(named) < _unexplained(rows):
                    hypothesis, rows = other, named
        return StepsReport.of(hypothesis, rows, hints, self.single)

    def _allowed(self, found: Hypothesis) -> dict[str, float]:
        return allowed_distances(found.model, found.setting.point, self.tolerance, self.single)


def _unexplained(rows: list[Judged]) -> tuple[int, int]:
    """Return how many wrong steps no mistake gives, and how many are wrong."""
    wrong = [row for row in rows if row.verdict == "wrong"]
    return sum(not row.causes for row in wrong), len(wrong)


def _other_penalty(found: Hypothesis) -> Iterator[Hypothesis]:
    """Yield a reading with l2 for l2 / N, or l2 / N for l2, where that is left open."""
    model, examples = found.model, len(found.setting.point["A0"])
    if not model.l2 or examples == 1 or model.reduction == "sum":
        return
    share = not model.penalty_over_examples
    notes = [note for note in found.notes if note != PENALTY_OVER_N]
    notes += [PENALTY_OVER_N] * share
    model = model._replace(penalty_over_examples=share)
    yield found._replace(model=model, notes=tuple(notes))


def _hypotheses(
    steps: object, setting: Setting, model: Model, loss: str | None, reduction: str
) -> Iterator[Hypothesis]:
    """Yield what conventions leave open, the usual first."""
    examples = len(setting.point["A0"])
    model = model._replace(sizes=setting.sizes, biases=setting.biases)
    if model.loss == SOFTMAX and loss is None and setting.sizes[-1] == 1:
        model = model._replace(loss=SIGMOIDS)
    losses: list[tuple[str, tuple[str, ...]]] = [(model.loss, ())]
    if loss is None and model.loss == SOFTMAX:
        losses.append((SIGMOIDS, ("the outputs are sigmoids, each with its own cross-entropy",)))
    divisions = [("mean", "delta"), ("mean", "weights"), ("sum", "delta")]
    if examples == 1:
        divisions = divisions[:1]
    divisions = [each for each in divisions if reduction in ("any", each[0])]
    shares = (False, True) if model.l2 and examples > 1 else (False,)
    ways = [  # lambda / 2m is of a mean: beside a sum its 1/N was forgotten
        (share, each) for share in shares for each in divisions if not share or each[0] == "mean"
    ]
    for (name, said), (share, (over, place)) in product(losses, ways):
        one = model._replace(loss=name, reduction=over, division=place, penalty_over_examples=share)
        notes: list[str] = [*said]
        if over == "sum":
            notes.append("the loss is the SUM over the examples: of a mean all gradients are 1/N")
        elif place == "weights":
            notes.append("1/N of the mean is taken in the weights' gradients, not in the deltas")
        if share:
            notes.append(PENALTY_OVER_N)
        for handed in readings(steps, one, examples):
            for turned in _turned(handed, setting):
                yield Hypothesis(setting, one, handed, turned, tuple(notes))


def _turned(handed: Handed, setting: Setting) -> Iterator[frozenset[str]]:
    """Yield which square arrays are transposed: those of a kind whose other shapes say so.

    Where no shape says anything, weights' gradients are read as the weights are; a gradient that is
    transposed beside its own weights is a mistake that a square matrix hides.
    """
    ways: list[tuple[bool, ...]] = []
    for group in ("weights", "rows"):
        seen = {
            is_turned(options[0])
            for name, options in handed.views.items()
            if ("W" in name) == (group == "weights") and len(set(options[0].value.shape)) == 2
        }
        usual = group in setting.turned
        by_shape = len(seen) == 1
        ways.append(tuple(seen) if by_shape else (usual, not usual)[: 2 if group == "rows" else 1])
    for chosen in product(*ways):
        yield frozenset(g for g, turned in zip(("weights", "rows"), chosen, strict=True) if turned)


def _single(steps: object) -> bool:
    """Tell whether numbers were computed in float32: exactly representable, and not short."""
    long = [each for each in flat_numbers(steps) if not _short(each)]
    with np.errstate(all="ignore"):
        return bool(long) and all((np.float32(each) == each).all() for each in long)


def _short(values: np.ndarray) -> bool:
    """Tell whether numbers have so few digits that any format holds them, such as zeros."""
    with np.errstate(all="ignore"):
        return bool((np.float16(values) == values).all())
