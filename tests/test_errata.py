"""The errata: each quoted, each confirmed, and each check able to fail."""

from __future__ import annotations

import re
from functools import partial

import pytest
from sympy import Symbol, true

from jax_backprop.derivation import EQUATIONS, Finding, Proof, conclude, evidence, printed
from jax_backprop.derivation.errata import ERRATA
from jax_backprop.derivation.homework import QUOTATION, missing_quotations
from jax_backprop.derivation.indices import (
    CONDITIONS,
    CORRECTED_FORMS,
    INDICES,
    PRINTED_FORMS,
    stray_symbols,
)
from jax_backprop.derivation.printed import PRINTED

BY_LABEL = {equation.label: equation for equation in EQUATIONS}


def test_every_erratum_is_quoted_and_those_with_checks_are_confirmed(
    findings: list[Finding],
) -> None:
    checked = [finding for finding in findings if finding.evidence]
    assert len(checked) == 11 and len(findings) == 20
    for finding in findings:
        assert QUOTATION.search(finding.erratum.printed), "what is printed is quoted"
        assert finding.misquoted == () and finding.confirmed, finding.erratum.where
        assert (finding.erratum.kind == "text") == (not finding.evidence)


def test_a_misquotation_confirms_nothing(findings: list[Finding]) -> None:
    assert missing_quotations("“all the intended outputs added up”, “the outputs sum to 1”") == (
        "the outputs sum to 1",
    )
    wrong = findings[0]._replace(misquoted=("the outputs sum to 1",))
    assert not wrong.confirmed
    verdict = conclude([Proof(EQUATIONS[0], code=0.0)], [*findings[1:], wrong])
    assert not verdict.passed and "FAIL: erratum (2)" in verdict.lines[-1]


@pytest.mark.parametrize("number", PRINTED)
def test_what_is_right_as_printed_confirms_nothing(number: int, monkeypatch) -> None:
    equation = BY_LABEL[str(number)]
    assert equation.left is not None
    monkeypatch.setitem(PRINTED, number, printed.Printed(equation.right, equation.left))
    evidence._differentiated.cache_clear()
    mine = [check for each in ERRATA for check in each.checks if check.equation == number]
    found = [check.find().confirmed for check in mine if "index" not in str(check.find)]
    evidence._differentiated.cache_clear()
    assert False in found, "the value check sees that nothing is wrong"


def test_a_right_sigmoid_is_no_erratum(monkeypatch) -> None:
    monkeypatch.setattr(printed, "hidden", BY_LABEL["2"].right)
    assert not evidence.sigmoid_sign().confirmed


def test_what_is_introduced_is_no_free_index(monkeypatch) -> None:
    for number, form in CORRECTED_FORMS.items():
        monkeypatch.setitem(PRINTED_FORMS, number, form)
        monkeypatch.setitem(CONDITIONS, number, true)
    for each in ERRATA:
        for check in each.checks:
            if "index" in str(check.find):
                assert not check.find().confirmed, (each.where, check.equation)


def test_sympy_finds_the_free_indices_that_the_errata_list_and_no_others() -> None:
    found = {
        (number, stray.split()[0])
        for number, form in PRINTED_FORMS.items()
        for stray in stray_symbols(form)
    }
    listed = {
        check.find.args if len(check.find.args) == 2 else (*check.find.args, "j")
        for each in ERRATA
        for check in each.checks
        if isinstance(check.find, partial)
        and check.find.func in (evidence.free_index, evidence.renamed_index)
    }
    assert found == listed and len(found) == 16
    corrected = PRINTED_FORMS | CORRECTED_FORMS
    assert not [number for number, form in corrected.items() if stray_symbols(form)]


@pytest.mark.parametrize("number", PRINTED_FORMS)
def test_index_forms_carry_the_indices_of_the_printed_latex(number: int) -> None:
    """The forms that sympy reads were transcribed by hand: the LaTeX has the same letters."""
    latex = BY_LABEL[str(number)].printed
    latex = latex.replace(r"\neq", "").replace("*", "")
    latex = re.sub(r"\\quad when \\quad *(\w) *=? *(\w)", r"_\1_\2", latex)  # letters of it
    scripts = re.findall(r"(?<!sum)[_^](\{[^}]*\}|\w)", latex) + re.findall(
        r"\\sum_\{([^}]*)\}(?:\^\{?(\w))?", latex
    )
    letters = set("".join("".join(script) for script in scripts)) & set(INDICES)
    sides = (*PRINTED_FORMS[number], CONDITIONS.get(number, true))
    symbols = {each for side in sides for each in side.atoms(Symbol)}
    assert letters == {str(each) for each in symbols & set(INDICES.values())}
