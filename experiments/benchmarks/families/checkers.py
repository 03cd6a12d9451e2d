"""One case before this project's referee and the peers that can be asked."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# (what is imported from the folders beside is found while it runs)

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
from cases import Case
from jax.test_util import check_grads

from jax_backprop import check_gradient

sys.path.insert(0, str(Path(__file__).parent.parent / "mutants"))

from gradient_checkers import PEERS, Numerical, Question

OURS = "jax_backprop"
TWICE = "jax check_grads, order 2"
ASKED = ("jax check_grads, reverse", "jax check_grads, forward")
ASKED += ("PyTorch gradcheck, slow", "PyTorch gradcheck, fast")


def judge(case: Case) -> dict[str, str]:
    """Return each checker's verdict: "pass", "fail" or "undecided".

    The name of a mistake isn't asked for: it takes ten times as long as the verdict.
    """
    with jax.enable_x64(case.dtype == "float64"):
        with patch("jax_backprop.referee.checks.diagnoses", return_value=()):
            report = check_gradient(case.loss, case.gradient, *case.args, order=case.order)
        asked = _twice(case) if case.order == 2 else _once(case)
        return {OURS: report.verdict} | {
            name: "pass" if passes else "fail" for name, passes in asked.items()
        }


def _once(case: Case) -> dict[str, bool]:
    params, *args = case.args
    leaves, structure = jax.tree.flatten(params)
    compiled = _jitted(case.loss)

    def of_leaves(leaves: Any) -> Any:
        return compiled(structure.unflatten(leaves), *args)

    grads = jax.tree.leaves(case.gradient(params, *args))
    question = Question(of_leaves, leaves, grads, [], Numerical(of_leaves, leaves))
    return {
        peer.name: peer.passes(question)
        for peer in PEERS
        if peer.name in ASKED and case.dtype in peer.dtypes
    }


def _twice(case: Case) -> dict[str, bool]:
    params, *args = case.args

    @jax.custom_vjp
    def function(params: Any) -> Any:
        return case.loss(params, *args)

    function.defvjp(
        lambda params: (case.loss(params, *args), params),
        lambda params, cotangent: (cotangent * case.gradient(params, *args),),
    )
    try:
        check_grads(function, (params,), order=2, modes=["rev"])
    except AssertionError:
        return {TWICE: False}
    return {TWICE: True}


@lru_cache
def _jitted(loss: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(loss)
