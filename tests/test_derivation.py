"""The derivation: every equation proven, every erratum confirmed, and each check able to fail."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sympy import Rational, Symbol, log

import jax_backprop.derivation as room
from jax_backprop import activations
from jax_backprop.derivation import EQUATIONS, Proof, conclude, definitions, homework, production
from jax_backprop.derivation import proofs as proofs_room
from jax_backprop.derivation.additions import ADDITIONS
from jax_backprop.derivation.batch import PARAMETERS, update
from jax_backprop.derivation.catalogue import HOMEWORK
from jax_backprop.derivation.definitions import Example, quantities
from jax_backprop.derivation.entries import PACKAGE, Code, source_lines
from jax_backprop.derivation.fractions import is_zero
from jax_backprop.derivation.jacobians import autodiff_jacobians, difference_jacobians
from jax_backprop.derivation.notation import plain, sentence_text
from jax_backprop.derivation.programs import on_symbols
from jax_backprop.derivation.proofs import (
    code_residuals,
    compare_sides,
    named,
    numeric_point,
    program_gaps,
    prove_all,
    residual,
    setting,
)
from jax_backprop.derivation.symbolic import nonzero_elements, symbolic_jacobians, symbolic_point
from jax_backprop.derivation.worked import work_through
from jax_backprop.errors import InputError
from jax_backprop.network import dense
from jax_backprop.report.notation import mathml
from jax_backprop.settings import Network
from jax_backprop.training import network_learner
from jax_backprop.training.steps import init_state, step
from jax_backprop.types import Batch, Layer

OWN = "jax_backprop.derivation.batch"  # (U): the training step lies in a row below
BY_LABEL = {equation.label: equation for equation in EQUATIONS}


@pytest.mark.parametrize(("equations", "held"), [(HOMEWORK, 12), (ADDITIONS, 8)])
def test_every_equation_is_proven_three_ways_and_is_the_codes(
    equations, held: int, monkeypatch
) -> None:
    """On symbols at sizes that all differ; on numbers at square ones, too."""
    different = {kind: sizes[:1] for kind, sizes in proofs_room.SYMBOLIC_SIZES.items()}
    monkeypatch.setattr(proofs_room, "SYMBOLIC_SIZES", different)
    proofs = prove_all(equations)
    assert [proof.equation.label for proof in proofs if not proof.passed] == []
    for proof in proofs:
        derived = proof.equation.left is not None
        assert derived == (proof.equation.label not in [*"12345", "5N"])
        for method in ("symbolic", "autodiff", "differences"):
            assert (getattr(proof, method) is not None) == derived
        runs = proof.equation.production is not None
        assert (proof.code is not None, proof.program is not None) == (runs, runs)
        shown = [code for code in proof.equation.code if code.function.__module__ not in OWN]
        assert bool(shown) == runs, "what is shown as the project's code is held against it"
    assert sum(proof.code is not None for proof in proofs) == held


def test_a_fraction_that_is_zero_is_told_from_others() -> None:
    a, b, c = (Symbol(name) for name in "abc")
    zeros = (
        1 / (a + b) - (a - b) / (a**2 - b**2),
        (a + b) ** 2 / c - (a**2 + 2 * a * b + b**2) / c,
        (1 + a / b) ** -2 - b**2 / (a + b) ** 2,
        c / (a - b) + c / (b - a),
        (1 + log(a)) ** 2 - log(a) ** 2 - 2 * log(a) - 1,
    )
    for zero in zeros:
        assert is_zero(zero)
        for other in (c / 10**20, 1 / (a + b), Rational(1, 10**20)):
            assert not is_zero(zero + other)
    assert is_zero(0) and not is_zero(1)


def test_every_number_of_the_homework_is_there() -> None:
    labels = [equation.label for equation in EQUATIONS]
    assert labels[:21] == list(homework.printed()) == [str(number) for number in range(1, 22)]
    assert homework.printed()["20"] == r"\frac{\partial Z_h}{\partial Z_h} = i_n"
    assert len(set(labels)) == len(labels) == 30


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


def test_a_program_that_isnt_the_equation_is_seen_on_symbols() -> None:
    """Of the code that trains, by what JAX traces: a wrong rule inside it turns the proof red."""
    right, point = BY_LABEL["14"], symbolic_point((2, 2, 2))
    assert program_gaps([right], point, False) == {"14": 0}

    def wrong(logits, labels):
        return jnp.where(labels == 1, 1, 1.000001) * production.d_logits(logits, labels)

    def only_near(logits, labels):  # the same function up to rounding, not on symbols
        return production.d_logits(logits, labels) + 1e-20 * logits

    for function in (wrong, only_near):
        found = program_gaps([right._replace(production=function)], point, False)
        assert found["14"] > 0 and not Proof(right, program=found["14"]).passed


def test_the_proof_is_of_the_running_code(monkeypatch) -> None:
    """Break a rule where it runs: the equations that rest on it aren't proven of it any more."""
    chosen = [BY_LABEL[label] for label in ("16N", "bk", "18N", "19N", "21N", "bh")]
    point = symbolic_point((1, 2, 2), 2)
    broken = activations.ACTIVATIONS["sigmoid"]._replace(
        backward=lambda d_activations, outputs: d_activations * outputs
    )
    monkeypatch.setitem(activations.ACTIVATIONS, "sigmoid", broken)
    found = program_gaps(chosen, point, True)
    assert {label for label, wrong in found.items() if wrong} == {"21N", "bh"}


def test_the_training_step_is_the_update_on_symbols() -> None:
    """(U) has no production in its room, which lies above training: here it has."""

    def new_output_weights(inputs, labels, learning_rate, **leaves):
        weights, biases, output_weights, output_biases = (leaves[name] for name in PARAMETERS)
        params = (Layer(weights, biases), Layer(output_weights, output_biases))
        sizes = (*weights.shape, output_biases.shape[0])
        learner = network_learner(Network(layer_sizes=sizes))
        batch = Batch(inputs, jnp.argmax(labels, axis=1))
        state, _ = step(init_state(params, learner), batch, learning_rate, learner=learner)
        return state.params[1].weights

    names = ("inputs", "labels", "learning_rate", *PARAMETERS)
    point = symbolic_point((1, 2, 2), 2) | {"labels": np.eye(2, dtype=int)}
    rate = np.array(Symbol("rate"), object)
    values = setting(point, True).point | {"learning_rate": rate}
    found = on_symbols(new_output_weights, {name: values[name] for name in names}, names)
    expected = update(values["output_weights"], values["d_output_weights"], rate)
    assert nonzero_elements(found, expected, apart=True) == 0
    assert nonzero_elements(found, values["output_weights"], apart=True) == expected.size


def test_an_operation_unknown_on_symbols_is_named() -> None:
    def sine(x):
        return jnp.sin(x)

    with pytest.raises(NotImplementedError, match="'sin' on symbols"):
        on_symbols(sine, {"x": ONE.point["logits"], "labels": np.eye(2)[0]})


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
