"""What is wrong, loose or missing as printed: an entry a slip, each quoting the homework's text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from jax_backprop.derivation import evidence, homework
from jax_backprop.derivation.evidence import Evidence


class Check(NamedTuple):
    """One check of an erratum: the equation that it is about, and what finds its evidence."""

    equation: int
    find: Callable[[], Evidence]


class Erratum(NamedTuple):
    """One slip; texts have their mathematics between dollar signs.

    Args:
      where: the equations, or the place in the text.
      printed: what stands there, quoted between “ and ” word for word.
      correct: what should.
      kind: "value": the printed form gives a wrong number. "free index": sympy finds a symbol that
        nothing introduces. "text": told by reading.
      checks: each fails as printed and passes as corrected; none for a text.
    """

    where: str
    printed: str
    correct: str
    kind: str
    checks: tuple[Check, ...] = ()


class Finding(NamedTuple):
    """An erratum and what was found: by each check, and of its quotations.

    Args:
      erratum: which.
      evidence: of each of its checks.
      misquoted: quotations that aren't in the homework's text.
    """

    erratum: Erratum
    evidence: tuple[Evidence, ...]
    misquoted: tuple[str, ...]

    @property
    def confirmed(self) -> bool:
        """Every check fails as printed and passes as corrected, and every quotation is one."""
        return not self.misquoted and all(each.confirmed for each in self.evidence)

    def of_equation(self, label: str) -> tuple[Evidence, ...]:
        """Return what was found of one equation."""
        found = zip(self.erratum.checks, self.evidence, strict=True)
        return tuple(each for check, each in found if str(check.equation) == label)


def find_errata() -> list[Finding]:
    """Run every erratum's checks and look up its quotations.

    Example:
      >>> findings = find_errata()
      >>> all(finding.confirmed for finding in findings)
      True
      >>> findings[0].erratum.where
      '(2)'
    """
    return [
        Finding(
            each,
            tuple(check.find() for check in each.checks),
            homework.missing_quotations(each.printed),
        )
        for each in ERRATA
    ]


def _value(number: int) -> Check:
    return Check(number, partial(evidence.printed_value, number))


def _index(number: int, symbol: str) -> Check:
    return Check(number, partial(evidence.free_index, number, symbol))


def _renamed(number: int) -> Check:
    return Check(number, partial(evidence.renamed_index, number))


def _single(number: int) -> Check:
    return Check(number, partial(evidence.one_example, number))


CHECKED = (
    Erratum(
        "(2)",
        r"“$\frac{1}{1 + e^{Z_h}}$”",
        r"$\frac{1}{1 + e^{-Z_h}}$",
        "value",
        (Check(2, evidence.sigmoid_sign),),
    ),
    Erratum(
        "(3), (4), (5), (9)",
        r"the sums end at an index: “$\sum_{n=1}^{h}$”, “$\sum_{j=1}^k$”, “$\sum_{i=1}^{k}$”, "
        r"“$\sum_{i=1}^k$”",
        "at the sizes $H$ and $K$ of the question; in (9) $k$ is the index on the left as well",
        "free index, value",
        (_index(3, "h"), _index(4, "k"), _index(5, "k"), _index(9, "k"), _value(9)),
    ),
    Erratum(
        "(7), (8)",
        r"the left side says $o$, “$\frac{\partial Y_o}{\partial Z_k}$”, where the right side and "
        r"the conditions “$j = k$” and “$j \neq k$” say $j$",
        r"one letter: $Y_k (1 - Y_k)$ for $o = k$, $-Y_o Y_k$ for $o \neq k$",
        "free index",
        (_renamed(7), _renamed(8)),
    ),
    Erratum(
        "(10) to (14)",
        "$j$ is left over from (7), “$Y_j - L_k = Y_k - L_k$”",
        "$Y_k$ for $Y_j$ in each",
        "free index",
        tuple(_index(number, "j") for number in (10, 11, 12, 13, 14)),
    ),
    Erratum(
        "(10), (11)",
        "“The first is when i = k (in summation) and the second is when they are not the same”: "
        r"two parts of one sum, yet each is called “$\frac{\partial E}{\partial Z_k}$”, the whole",
        "a name for each part; their sum (12) is the derivative",
        "value",
        (_value(10), _value(11)),
    ),
    Erratum(
        "after (13)",
        "“it is all the intended outputs added up. Due to the fact that the outputs are always "
        "probabilities their sum will give 1”: the second sentence speaks of the outputs",
        "the labels sum to 1, as exactly one of them is 1; that the outputs do isn't enough for "
        "(14)",
        "value",
        (Check(13, evidence.sum_to_one),),
    ),
    Erratum(
        "(17), (21)",
        r"one output $k$: “$\frac{\partial E}{\partial Z_k} * \frac{\partial Z_k}{\partial O_h}$”, "
        "“$(Y_k - L_k) * w_{hk}$”",
        r"$\sum_{k=1}^{K}$ of that, over all outputs",
        "value, free index",
        (_value(17), _value(21), _index(17, "k"), _index(21, "k")),
    ),
    Erratum(
        "(20)",
        r"“$\frac{\partial Z_h}{\partial Z_h} = i_n$”",
        r"$\frac{\partial Z_h}{\partial w_{nh}} = i_n$",
        "value, free index",
        (Check(20, evidence.left_of_20), _index(20, "n")),
    ),
    Erratum(
        "(17), (21)",
        r"“$\partial w_{ih}$” on the left of (17) and (21), “$i_n$” on the right of (21): the "
        "input's index is $i$, then $n$",
        "$w_{nh}$, as in (1)",
        "free index",
        (_index(21, "n"),),
    ),
    Erratum(
        "before (18), (21)",
        "“where $w_h k$ is the weight”, “$Oh$”: subscripts lost",
        "$w_{hk}$, $O_h$",
        "free index",
        (_index(21, "Oh"),),
    ),
    Erratum(
        "(5) to (21)",
        "asked are “batch gradient updates”, given is one example: “$(Y_k - L_k) * O_h$”",
        "the sum over $N$ examples, divided by $N$ for the mean loss; sum or mean, it rescales "
        "the learning rate by $N$",
        "value",
        (_single(16), _single(21)),
    ),
)

READ = (
    Erratum(
        "(6)",
        "one term of the chain rule, "
        r"“$\frac{\partial E}{\partial Z_k} * \frac{\partial Z_k}{\partial w_{hk}}$”",
        "the sum over all logits, of which one is left: "
        r"$\frac{\partial Z_j}{\partial w_{hk}} = 0$ for $j \neq k$, said nowhere",
        "text",
    ),
    Erratum(
        "(1) to (21)",
        "“Weight between input node n and the hidden node h”, “Weight between the 'n'th hidden "
        "node to the 'o'th output node”: $w$, $b$ and $Z$ name both layers, $n$ inputs and hidden "
        "units, $i$ the input and two indices",
        "a name a layer, a meaning an index",
        "text",
    ),
    Erratum("after (4)", "“Output of the 'o'th output layer”", "of output node $o$", "text"),
    Erratum("before (5)", "“a matrix of length K”", "a vector", "text"),
    Erratum(
        "before (6)",
        "“the first set of weights between the hidden layer and output layer”",
        "the network's second",
        "text",
    ),
    Erratum(
        "after (17)",
        r"“We already obtained the first term $\frac{\partial E}{\partial Z_k}$ in section 1.4”",
        "in section 1.2",
        "text",
    ),
    Erratum(
        "after (21)",
        "“Output of the final neuron”, “Intended output of final neuron”, “Input of first neuron”",
        "of output neuron $k$, one of $K$; of input $n$",
        "text",
    ),
    Erratum(
        "sections 1.3, 1.4",
        "“Gradient Update for hidden-to-output weights”, “Gradient Update for input-to-hidden "
        "weights”: gradients of the weights, no update, no biases",
        r"$W \leftarrow W - \eta \frac{\partial E}{\partial W}$, and likewise for the biases",
        "text",
    ),
    Erratum(
        "the question",
        "“Is it wise to use a learning rate parameter? Why?”: unanswered",
        "measured: see the learning-rate study",
        "text",
    ),
)

ERRATA = CHECKED + READ
