"""The algebra between equations: each displayed expression is evaluated, from its LaTeX."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from jax_backprop.derivation import EQUATIONS
from jax_backprop.derivation.definitions import call
from jax_backprop.derivation.jacobians import difference_jacobians
from jax_backprop.derivation.lessons import LESSONS, QUESTIONS
from jax_backprop.derivation.proofs import numeric_point, setting
from jax_backprop.derivation.verdict import PARTS
from jax_backprop.report.notation import mathml, sentence_mathml

BY_LABEL = {equation.label: equation for equation in EQUATIONS}
# On the right sides: which indices an element is of.
INDICES = {"4": "k", "6": "hk", "7": "k", "8": "ok", "16": "hk", "19": "h", "21": "nh"}
# Whose right side is the same without the derivatives of a chain rule.
CLOSED = {"6": "16", "9": "14"}
TOKEN = re.compile(r"\\[a-z]+|[A-Za-z]|\d+|[{}_^()+\-]|\S")
Value = Callable[[dict[str, int]], float]


class Reader:
    """Reads the LaTeX of a lesson's step as a function of its indices."""

    def __init__(self, latex: str, names: dict[str, Any], slopes: dict[str, Any]) -> None:
        self.tokens = [each for each in TOKEN.findall(latex) if each not in (r"\left", r"\right")]
        self.names, self.slopes = names, slopes

    def read(self) -> Value:
        """Return the whole expression; nothing may be left over."""
        found = self._total()
        assert not self.tokens, self.tokens
        return found

    def _next(self, wanted: str = "") -> str:
        found = self.tokens.pop(0)
        assert wanted in ("", found), (wanted, found)
        return found

    def _peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def _total(self) -> Value:
        terms = [self._product(-1 if self._peek() == "-" and self._next() else 1)]
        while self._peek() in ("+", "-"):
            terms.append(self._product(1 if self._next() == "+" else -1))
        return lambda at: sum(term(at) for term in terms)

    def _product(self, sign: int) -> Value:
        factors: list[Value] = []
        while self._peek() not in ("", "+", "-", ")", "}"):
            if self._peek() == r"\cdot":
                self._next()
            else:
                factors.append(self._factor())
        return lambda at: sign * float(np.prod([factor(at) for factor in factors]))

    def _group(self) -> Value:
        self._next("{")
        found = self._total()
        self._next("}")
        return found

    def _text(self) -> str:
        if self._peek() != "{":
            return self._next()
        found = [self._next()]
        while found.count("{") > found.count("}"):
            found.append(self._next())
        return "".join(found[1:-1])

    def _factor(self) -> Value:
        token = self._next()
        if token == r"\frac":
            return self._fraction()
        if token == r"\sum":
            return self._sum()
        if token == "(":
            inner = self._total()
            self._next(")")
            if self._peek() != "^":
                return inner
            power = int((self._next(), self._text())[1])
            return lambda at: inner(at) ** power
        if token.isdigit():
            return lambda at: float(token)
        if token == "e":
            self._next("^")
            power_of = self._group()
            return lambda at: float(np.exp(power_of(at)))
        return self._symbol(token)

    def _symbol(self, name: str) -> Value:
        if self._peek() == "^":  # S squared
            power = int((self._next(), self._text())[1])
            return lambda at: float(self.names[name]) ** power
        if self._peek() != "_":
            return lambda at: float(self.names[name])
        self._next()
        indices = self._text()
        kind = name + ("_" + indices[-1] if name in "Zwb" else "")
        return lambda at: float(self.names[kind][tuple(at[each] for each in indices)])

    def _fraction(self) -> Value:
        if self.tokens[1] != r"\partial":
            above, below = self._group(), self._group()
            return lambda at: above(at) / below(at)
        above_text, below_text = self._text(), self._text()
        left, right = (re.sub(r"\\partial|[{}]", "", each) for each in (above_text, below_text))
        of, _, first = left.partition("_")
        by, _, second = right.partition("_")
        return lambda at: float(self.slopes[of + by][tuple(at[each] for each in first + second)])

    def _sum(self) -> Value:
        self._next("_")
        limits = self._text()
        index = limits[0]
        if self._peek() == "^":
            self._next()
            self._text()
        term = self._product(1)
        size = len(self.names["Y"])
        skipped = r"\neq" in limits
        return lambda at: sum(
            term({**at, index: each}) for each in range(size) if not (skipped and each == at["k"])
        )


def _steps() -> Iterator[Any]:
    for label, lesson in LESSONS.items():
        for place, step in enumerate(lesson.steps):
            yield pytest.param(label, step, id=f"{label}.{place}")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    v = setting(numeric_point((2, 3, 4)), False).point
    found = {"i": v["inputs"], "Z_h": v["pre_activations"], "O": v["hidden"], "Y": v["outputs"]}
    found |= dict.fromkeys(("Z_k", "Z_j", "Z_o"), v["logits"])
    return found | {
        "L": v["labels"],
        "w_k": v["output_weights"],
        "m": 0.7,
        "S": np.exp(v["logits"]).sum(),
    }


@pytest.fixture(scope="module")
def slopes() -> dict[str, Any]:
    """The derivatives that steps speak of, by differences, as the Reader names them."""
    where = setting(numeric_point((2, 3, 4)), False)
    pairs = {
        "EZ": ("loss", "logits"),
        "YZ": ("outputs", "logits"),
        "Zw": ("logits", "output_weights"),
    }
    found = difference_jacobians(where.quantities, where.point, pairs.values())
    return {name: found[pair] for name, pair in pairs.items()}


@pytest.mark.parametrize(("label", "latex"), list(_steps()))
def test_each_step_is_what_its_equation_says(label: str, latex: str, names, slopes) -> None:
    values = setting(numeric_point((2, 3, 4)), False).point
    right = np.asarray(call(BY_LABEL[CLOSED.get(label, label)].right, values))
    step = Reader(latex, names, slopes).read()
    sizes, indices = {"n": 2, "h": 3, "k": 4, "o": 4}, INDICES.get(label, "k")
    for at in itertools.product(*(range(sizes[each]) for each in indices)):
        if indices != "ok" or at[0] != at[1]:
            found = step(dict(zip(indices, at, strict=True)))
            assert found == pytest.approx(right[at], rel=1e-9, abs=1e-9), at


def test_a_wrong_step_is_seen(names, slopes) -> None:
    wrong = {"7": r"Y_k (1 + Y_k)", "14": r"L_k - Y_k", "11": r"\sum_{i=1}^{K} L_i Y_k"}
    for label, latex in wrong.items():
        with pytest.raises(AssertionError):
            test_each_step_is_what_its_equation_says(label, latex, names, slopes)


def test_lessons_are_of_equations_and_can_be_shown() -> None:
    assert set(LESSONS) == set(BY_LABEL)
    assert set(QUESTIONS) == {title for title, _ in PARTS}
    for lesson in LESSONS.values():
        for latex in (*lesson.steps, *filter(None, [lesson.vector])):
            assert "<math" in mathml(latex)
        assert "$" not in sentence_mathml(lesson.shapes)
    for question in itertools.chain(*QUESTIONS.values()):
        assert "$" not in sentence_mathml(question.asked) + sentence_mathml(question.answer)
