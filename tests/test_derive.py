"""``derive`` and ``verify`` as a reader sees them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from markupsafe import escape
from test_cli import call

from jax_backprop.derivation import EQUATIONS, Finding, Proof, second_order, work_through
from jax_backprop.derivation.notation import plain
from jax_backprop.report.notation import mathml
from jax_backprop.study import answer


@pytest.fixture
def proofs() -> list[Proof]:
    """What proofs look like, without their work: for what shows them."""
    derived = Proof(EQUATIONS[0], symbolic=0, autodiff=1e-16, differences=1e-11, code=0.0)
    return [
        derived._replace(equation=each) if each.left else Proof(each, code=0.0)
        for each in EQUATIONS
    ]


def _prove_as_known(monkeypatch, proofs: Sequence[Proof], findings: Sequence[Finding]) -> None:
    for module in ("derivation", "verification"):
        monkeypatch.setattr(f"jax_backprop.cli.{module}.prove", lambda: (proofs, findings))


def test_derive_prints_every_equation(monkeypatch, capsys, proofs, findings) -> None:
    _prove_as_known(monkeypatch, proofs, findings)
    assert call("derive") == 0
    text = capsys.readouterr().out
    for equation in EQUATIONS:
        assert f"({equation.label}) {equation.title}" in text
        assert plain(equation.corrected) in text
    assert "verdict: pass" in text and "jax_backprop/network.py:" in text
    broken = [proofs[13]._replace(symbolic=1)]
    _prove_as_known(monkeypatch, broken, findings)
    assert call("derive") == 1
    text = capsys.readouterr().out
    assert "NOT PROVEN" in text and "verdict: FAIL" in text


def test_derive_writes_one_offline_page(monkeypatch, capsys, tmp_path, proofs, findings) -> None:
    _prove_as_known(monkeypatch, proofs, findings)
    page = tmp_path / "page.html"
    assert call("derive", "--out", page) == 0
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    assert set(re.findall(r"https?://[^\"]*", text)) == {"http://www.w3.org/1998/Math/MathML"}
    for equation in EQUATIONS:
        assert f'id="eq{equation.label}"' in text
        assert str(mathml(equation.corrected, block=True)) in text
    for name, value in work_through().values.items():
        if f'data-number="{name}.0' in text and value.ndim == 1:
            assert f'data-number="{name}.0">{value[0]:.4g}<' in text
    assert call("derive", "--out", page) == 0, "a page of ours is replaced"
    page.write_text("mine")
    assert call("derive", "--out", page) == 2
    assert page.read_text() == "mine"
    assert "holds something else" in capsys.readouterr().err


def test_derive_quotes_a_study_and_links_to_it(
    monkeypatch, capsys, tmp_path, proofs, findings, blobs_study, summary
) -> None:
    _prove_as_known(monkeypatch, proofs, findings)
    page = tmp_path / "pages" / "page.html"
    assert call("derive", "--out", page, "--study", blobs_study) == 0
    text = page.read_text()
    for line in answer(summary):
        assert str(escape(line)) in text
    linked = re.findall(r'href="([^#"][^"]*)"', text)
    assert [(page.parent / each).resolve() for each in linked] == [
        each for each in [blobs_study / "report.html"] if each.exists()
    ]
    assert call("derive", "--study", blobs_study) == 2
    assert "no --out" in capsys.readouterr().err


def test_derive_works_an_example_through(capsys) -> None:
    assert call("derive", "--layer-sizes", "2,2,2", "--example") == 0
    text = capsys.readouterr().out
    for label in ("(1)", "(2)", "(5)", "(14)", "(16)", "(18)", "(19)", "(21)", "(U)"):
        assert label in text
    for part in ("forward", "backward", "update"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer-sizes", "2,x,2", "--example"], "layer sizes: got '2,x,2'"),
        (["--layer-sizes", "9,2,2", "--example"], "from 1 to 4"),
        (["--learning-rate", "nan", "--example"], "learning rate: got nan"),
    ],
)
def test_mistakes_to_derive(arguments: list[str], message: str, capsys) -> None:
    assert call("derive", *arguments) == 2
    printed_ = capsys.readouterr().err
    assert message in printed_ and "Traceback" not in printed_


@pytest.mark.parametrize("broken", [False, True])
def test_verify_speaks_of_the_equations(
    broken: bool, monkeypatch, capsys, tmp_path: Path, proofs, findings
) -> None:
    known = [*proofs[:-1], proofs[-1]._replace(autodiff=1e-3)] if broken else proofs
    _prove_as_known(monkeypatch, known, findings)
    monkeypatch.setattr("jax_backprop.derivation.problems.grid", lambda **_: iter(()))
    # Of the second order, which has tests of its own, one problem.
    few = list(itertools.islice(second_order.grid(), 1))
    monkeypatch.setattr("jax_backprop.derivation.second_order.grid", lambda: iter(few))
    assert call("verify", "--json", tmp_path / "verify.json") == int(broken)
    text = capsys.readouterr().out
    assert ("FAIL: U" in text) == broken
    assert f"{15 + (not broken)} proven" not in text or not broken
    assert "20 errata, each quoted from the homework: 11 with checks" in text
