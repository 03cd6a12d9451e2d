"""The derivation: every equation proven, every erratum confirmed, and each check able to fail."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest
from sympy import Symbol

import jax_backprop.derivation as room
from jax_backprop.derivation import (
    EQUATIONS,
    Finding,
    Proof,
    conclude,
    definitions,
    evidence,
    printed,
)
from jax_backprop.derivation.additions import ADDITIONS
from jax_backprop.derivation.catalogue import HOMEWORK
from jax_backprop.derivation.definitions import Example, quantities
from jax_backprop.derivation.entries import PACKAGE, Code, source_lines
from jax_backprop.derivation.errata import ERRATA
from jax_backprop.derivation.indices import CORRECTED_FORMS, INDICES, PRINTED_FORMS, stray_symbols
from jax_backprop.derivation.printed import PRINTED
from jax_backprop.derivation.proofs import (
    code_residuals,
    compare_sides,
    named,
    numeric_point,
    prove_all,
    residual,
    setting,
)
from jax_backprop.derivation.symbolic import nonzero_elements, symbolic_jacobians, symbolic_point
from jax_backprop.derivation.worked import work_through
from jax_backprop.errors import InputError
from jax_backprop.gradcheck.jacobians import autodiff_jacobians, difference_jacobians
from jax_backprop.network import dense
from jax_backprop.report.notation import mathml, plain, sentence_text

BY_LABEL = {equation.label: equation for equation in EQUATIONS}


@pytest.mark.parametrize(("equations", "held"), [(HOMEWORK, 10), (ADDITIONS, 7)])
def test_every_equation_is_proven_three_ways_and_is_the_codes(equations, held: int) -> None:
    proofs = prove_all(equations)
    assert [proof.equation.label for proof in proofs if not proof.passed] == []
    for proof in proofs:
        derived = proof.equation.left is not None
        assert derived == (proof.equation.label not in list("12345"))
        for method in ("symbolic", "autodiff", "differences"):
            assert (getattr(proof, method) is not None) == derived
        assert (proof.code is not None) == (proof.equation.production is not None)
    assert sum(proof.code is not None for proof in proofs) == held


def test_every_number_of_the_homework_is_there() -> None:
    labels = [equation.label for equation in EQUATIONS]
    assert labels[:21] == [str(number) for number in range(1, 22)]
    assert len(set(labels)) == len(labels) == 29


ONE, BATCH = setting(symbolic_point((2, 2, 2)), False), setting(symbolic_point((1, 2, 2), 2), True)
METHODS = [
    ("symbolic", ONE, symbolic_jacobians, nonzero_elements),
    ("autodiff", setting(numeric_point((3, 3, 3)), False), autodiff_jacobians, residual),
    ("differences", setting(numeric_point((3, 3, 3)), False), difference_jacobians, residual),
]


@pytest.mark.parametrize(
    ("method", "where", "jacobians", "compare"), METHODS, ids=lambda v: str(v)[:9]
)
def test_each_proof_alone_sees_a_millionth_and_a_transposed_weight(
    method: str, where, jacobians, compare
) -> None:
    right = BY_LABEL["16"]

    def off_by_a_millionth(hidden, outputs, labels):
        return right.right(hidden, outputs, labels) * (10**6 + 1) / 10**6

    def transposed(hidden, outputs, labels):
        return right.right(hidden, outputs, labels).T

    for side, passes in ((right.right, True), (off_by_a_millionth, False), (transposed, False)):
        found = compare_sides([right._replace(right=side)], where, jacobians, compare)
        assert Proof(right, **{method: found["16"]}).passed == passes


def test_an_update_of_another_size_is_seen_on_symbols() -> None:
    """Its difference is split into parts: one wrong part is enough."""
    right = BY_LABEL["U"]

    def wrong(step_hidden_biases, d_hidden_biases, **others):
        parts = {"step_hidden_biases": step_hidden_biases, "d_hidden_biases": d_hidden_biases}
        first = (step_hidden_biases * d_hidden_biases)[:1].sum()
        return right.right(**parts, **others) - first

    wrong.__wrapped__ = right.right  # the same parameters
    values = BATCH.point | named(
        symbolic_jacobians(BATCH.quantities, BATCH.point, [("updated_loss", "learning_rate")])
    )
    truth = values["d_updated_loss_d_learning_rate"]
    assert nonzero_elements(truth, definitions.call(right.right, values)) == 0
    assert nonzero_elements(truth, definitions.call(wrong, values)) == 1


def test_the_code_is_held_against_the_equation() -> None:
    right, point = BY_LABEL["19"], numeric_point((3, 3, 3))
    point = setting(point, False).point
    wrong = right._replace(production=lambda hidden: hidden * (1 - hidden) * 1.000001)
    for equation, passes in ((right, True), (wrong, False)):
        assert Proof(right, code=code_residuals([equation], point)["19"]).passed == passes
    assert not Proof(right).passed, "nothing proven is no proof"


def test_all_errata_with_a_check_are_confirmed(findings: list[Finding]) -> None:
    checked = [finding for finding in findings if finding.erratum.kind != "text"]
    assert len(checked) == 25 and len(findings) == 34
    assert all(finding.confirmed for finding in checked)
    assert all(finding.evidence is None for finding in findings if finding not in checked)


def test_what_is_right_as_printed_confirms_nothing(monkeypatch) -> None:
    right = printed.Printed(BY_LABEL["10"].right, BY_LABEL["10"].left)  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(PRINTED, 10, right)
    assert not evidence.printed_value(10).confirmed
    for name, label in (("hidden", "2"), ("outputs", "4")):
        monkeypatch.setattr(printed, name, BY_LABEL[label].right)
    assert not evidence.sigmoid_sign().confirmed
    assert not evidence.overflow().confirmed


def test_sympy_finds_the_free_indices_that_the_errata_list_and_no_others() -> None:
    found = {number for number, form in PRINTED_FORMS.items() if stray_symbols(form)}
    listed = {int(each.where[1:-1]) for each in ERRATA if each.kind == "free index"}
    assert found == listed == {3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 17, 20, 21}
    corrected = PRINTED_FORMS | CORRECTED_FORMS
    assert not [number for number, form in corrected.items() if stray_symbols(form)]
    assert stray_symbols(PRINTED_FORMS[21]) == ("Oh", "k", "n")
    assert stray_symbols(PRINTED_FORMS[9]) == ("k as a sum's limit",)


@pytest.mark.parametrize("number", PRINTED_FORMS)
def test_index_forms_carry_the_indices_of_the_printed_latex(number: int) -> None:
    """The forms that sympy reads were transcribed by hand: the LaTeX has the same letters."""
    latex = BY_LABEL[str(number)].printed
    latex = latex.replace(r"\neq", "").replace("*", "")
    latex = re.sub(r"\\quad.*", "", latex)  # the condition isn't part of the equation
    scripts = re.findall(r"(?<!sum)[_^](\{[^}]*\}|\w)", latex) + re.findall(
        r"\\sum_\{([^}]*)\}(?:\^\{?(\w))?", latex
    )
    letters = set("".join("".join(script) for script in scripts)) & set(INDICES)
    symbols = {each for side in PRINTED_FORMS[number] for each in side.atoms(Symbol)}
    assert letters == {str(each) for each in symbols & set(INDICES.values())}


def test_both_kinds_of_jacobian_find_a_known_one() -> None:
    point = {"x": np.array([1.0, 2.0, 3.0])}

    def square_and_sum(given):
        return {"y": given["x"] ** 2, "z": given["x"].sum()}

    pairs = [("y", "x"), ("z", "x")]
    for jacobians in (autodiff_jacobians, difference_jacobians):
        found = jacobians(square_and_sum, point, pairs)
        np.testing.assert_allclose(found["y", "x"], np.diag([2.0, 4.0, 6.0]), atol=1e-9)
        np.testing.assert_allclose(found["z", "x"], np.ones(3), atol=1e-9)


def test_given_quantities_are_taken_as_they_are() -> None:
    example = Example(np.ones(2), np.eye(2)[0], np.ones((2, 2)), np.ones(2), np.eye(2), np.zeros(2))
    values = quantities(example, {"logits": np.array([0.0, 0.0])})
    np.testing.assert_allclose(values["loss"], np.log(2))
    np.testing.assert_allclose(values["hidden"], 1 / (1 + np.exp(-3)))


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.label)
def test_shown_lines_stand_at_their_place_in_the_file(equation) -> None:
    assert len(equation.sources) == 1 + len(equation.code)
    for source in equation.sources:
        lines = (PACKAGE.parent / source.file).read_text().splitlines()
        shown = source.text.splitlines()
        found = lines[source.line - 1 : source.line - 1 + len(shown)]
        assert [line.strip() for line in found] == [line.strip() for line in shown]


def test_a_line_that_no_statement_contains_is_an_error() -> None:
    with pytest.raises(ValueError, match="no statement of dense contains 'outputs @'"):
        source_lines(Code(dense, "outputs @"))


def test_the_worked_example_adds_up() -> None:
    """Evaluate each line's numbers as they are shown, to the digits that are shown."""
    worked = work_through((3, 2, 4), learning_rate=0.5, seed=3)
    evaluated = 0
    for line in worked.lines:
        _, *sides = re.split(r" [=≈←] ", plain(line.latex))
        if len(sides) == 2 and "∂" not in sides[0]:
            text = sides[0].replace("·", "*").replace("log(", "np.log(").replace("e⁰", "1")
            text = re.sub(r"e\^\(([^)]*)\)", r"np.exp(\1)", text)
            shown = float(sides[1])
            assert abs(eval(text, {"np": np}) - shown) <= 2e-3 * max(1, abs(shown)), line
            evaluated += 1
    assert evaluated == len(worked.lines) - (4 + 2) - 1  # the biases' lines, and E in the end
    assert float(worked.values["updated_loss"]) < float(worked.values["loss"])


@pytest.mark.parametrize("sizes", [(2, 2), (5, 2, 2), (2, 0, 2), (2, 2, 1)])
def test_a_worked_example_of_other_sizes_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="layer sizes of a worked example"):
        work_through(sizes)


def test_notation_for_a_terminal() -> None:
    assert plain(BY_LABEL["14"].corrected) == "∂E/∂Zₖ = Yₖ - Lₖ"
    assert plain(BY_LABEL["2"].corrected) == "Oₕ = 1/(1 + e^(-Zₕ))"
    assert plain(BY_LABEL["21"].printed) == "∂E/∂wᵢₕ = (Yₖ - Lₖ) wₕₖ Oh (1 - Oₕ) iₙ"
    assert sentence_text(r"the sum $\sum_{k=1}^{K}$ over $k$") == "the sum Σₖ₌₁ᴷ over k"
    assert "<mfrac>" in mathml(BY_LABEL["14"].corrected, block=True)


def test_a_verdict_over_nothing_fails(findings) -> None:
    assert not conclude([], findings).passed
    assert not conclude([Proof(EQUATIONS[0], code=0.0)], []).passed


def test_the_rooms_names_are_there() -> None:
    assert all(hasattr(room, name) for name in room.__all__)
    assert jax.config.jax_enable_x64 is False, "proofs leave the default float alone"  # pyright: ignore[reportAttributeAccessIssue]
