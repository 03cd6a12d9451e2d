"""What is wrong as printed, each with a check that fails as printed and passes as corrected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from jax_backprop.derivation import evidence
from jax_backprop.derivation.evidence import Evidence


class Erratum(NamedTuple):
    """One mistake, looseness or gap; texts have their mathematics between dollar signs.

    Args:
      where: the equations, or the place in the text.
      printed, correct: what stands there, and what should.
      kind: "value": the printed right side gives a wrong number. "free index": sympy finds a symbol
        on the right that nothing introduces. "text": told by reading.
      check: finds the evidence; None for a text.
    """

    where: str
    printed: str
    correct: str
    kind: str
    check: Callable[[], Evidence] | None = None


class Finding(NamedTuple):
    """An erratum and what its check found; None for one told by reading."""

    erratum: Erratum
    evidence: Evidence | None

    @property
    def confirmed(self) -> bool:
        """The check fails as printed and passes as corrected."""
        return self.evidence is not None and self.evidence.confirmed


def find_errata() -> list[Finding]:
    """Run every erratum's check."""
    return [Finding(each, each.check() if each.check else None) for each in ERRATA]


def _value(number: int) -> Callable[[], Evidence]:
    return partial(evidence.printed_value, number)


def _indices(number: int) -> Callable[[], Evidence]:
    return partial(evidence.free_index, number)


VALUES = (
    Erratum("(2)", "$e^{Z_h}$", "$e^{-Z_h}$", "value", evidence.sigmoid_sign),
    Erratum(
        "(4), (5)",
        "the powers of $e$ as they are, then their logarithm",
        "a shift $m$ of all logits in (4), log1p of the other classes' sum in (5): as printed they "
        "overflow where a network is sure",
        "value",
        evidence.overflow,
    ),
    Erratum("(9)", r"$\sum_{i=1}^{k}$", r"$\sum_{i=1}^{K}$", "value", _value(9)),
    Erratum(
        "(10)",
        r"the whole $\frac{\partial E}{\partial Z_k}$ on the left",
        "its part with $i = k$; (10), (11) and (12) contradict each other",
        "value",
        _value(10),
    ),
    Erratum(
        "(11)",
        r"the whole $\frac{\partial E}{\partial Z_k}$ on the left",
        r"its part with $i \neq k$",
        "value",
        _value(11),
    ),
    Erratum(
        "(13)",
        "(14) follows as the OUTPUTS sum to 1",
        "as the labels do",
        "value",
        evidence.sum_to_one,
    ),
    Erratum(
        "(16)",
        "one example",
        "the sum over the batch, divided by $N$ for the mean loss",
        "value",
        partial(evidence.one_example, "output_weights"),
    ),
    Erratum("(17)", "one output $k$", r"$\sum_{k=1}^{K}$ over all outputs", "value", _value(17)),
    Erratum(
        "(20)",
        r"$\frac{\partial Z_h}{\partial Z_h}$, which is 1",
        r"$\frac{\partial Z_h}{\partial w_{nh}}$",
        "value",
        _value(20),
    ),
    Erratum("(21)", "one output $k$", r"$\sum_{k=1}^{K}$ over all outputs", "value", _value(21)),
    Erratum(
        "(21)",
        "one example",
        "the sum over the batch, divided by $N$ for the mean loss",
        "value",
        partial(evidence.one_example, "hidden_weights"),
    ),
)

FREE_INDICES = (
    Erratum("(3)", r"$\sum_{n=1}^{h}$", r"$\sum_{h=1}^{H}$", "free index", _indices(3)),
    Erratum("(4)", r"$\sum_{j=1}^{k}$", r"$\sum_{j=1}^{K}$", "free index", _indices(4)),
    Erratum("(5)", r"$\sum_{i=1}^{k}$", r"$\sum_{k=1}^{K}$", "free index", _indices(5)),
    Erratum("(7)", "$1 - Y_j$", "$1 - Y_k$, with $o = k$", "free index", _indices(7)),
    Erratum("(8)", "$-Y_j Y_k$", "$-Y_o Y_k$", "free index", _indices(8)),
    Erratum("(9)", "a sum to $k$, an index of the left side", "to $K$", "free index", _indices(9)),
    Erratum("(10)", "$1 - Y_j$", "$1 - Y_k$", "free index", _indices(10)),
    Erratum("(11)", "$L_i Y_j$", "$L_i Y_k$", "free index", _indices(11)),
    Erratum("(12)", "$Y_j$", "$Y_k$", "free index", _indices(12)),
    Erratum("(13)", "$Y_j$", "$Y_k$", "free index", _indices(13)),
    Erratum("(14)", "$Y_j - L_k$", "$Y_k - L_k$ alone", "free index", _indices(14)),
    Erratum("(17)", "$k$ on the right alone", "$k$ summed over", "free index", _indices(17)),
    Erratum("(20)", "$n$ on the right alone", "$w_{nh}$ on the left", "free index", _indices(20)),
    Erratum(
        "(21)",
        "$w_{ih}$ against $i_n$, $k$ on the right alone, and $Oh$, a symbol of its own",
        "$w_{nh}$, $k$ summed over, $O_h$",
        "free index",
        _indices(21),
    ),
)

TEXTS = (
    Erratum(
        "(5)",
        "one example",
        "$N$ examples, their sum or their mean: it rescales the learning rate by $N$",
        "text",
    ),
    Erratum(
        "(6)",
        "one term of the chain rule",
        "the sum over all logits, of which one is left: "
        r"$\frac{\partial Z_j}{\partial w_{hk}} = 0$ for $j \neq k$, said nowhere",
        "text",
    ),
    Erratum(
        "(1) to (21)",
        "$w$, $b$ and $Z$ name both layers' quantities, told apart by the letter of an index",
        "a name a layer: $w_{11}$ and $Z_1$ mean two things each",
        "text",
    ),
    Erratum(
        "(1) to (21)",
        "$n$ counts inputs in (1), hidden units in (3); $i$ is the input, the index of a sum, and "
        "in (17), (21) the index of an input",
        "$n$ for inputs, $h$ for hidden units, $k$ for outputs throughout",
        "text",
    ),
    Erratum("before (6)", "the first set of weights", "the second set", "text"),
    Erratum("after (17)", "obtained in section 1.4", "in section 1.2", "text"),
    Erratum("after (21)", "$i_n$, the input of the first neuron", "of input $n$", "text"),
    Erratum(
        "sections 1.3, 1.4",
        "titled gradient update; the biases, the batch and the update are missing",
        r"$W \leftarrow W - \eta \frac{\partial E}{\partial W}$, and likewise for the biases",
        "text",
    ),
    Erratum(
        "the question",
        "whether a learning rate is wise: unanswered",
        "measured: see the learning-rate study",
        "text",
    ),
)

ERRATA = VALUES + FREE_INDICES + TEXTS
