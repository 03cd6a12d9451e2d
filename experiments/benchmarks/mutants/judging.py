"""One mutant, or one correct problem, before every checker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from catalogue import MUTANTS, outcome
from gradient_checkers import PEERS, Numerical, Peer, Question
from planting import plant
from points import DTYPES, judged_loss, point
from tables import OURS

from jax_backprop import check_value_and_grad, value_and_grad
from jax_backprop.derivation.autodiff import jitted_autodiff, to_dtype
from jax_backprop.derivation.problems import Problem, build

EQUIVALENT = 1e-12  # relative: a mutant that changes the float64 gradient by less changes nothing


class Setting(NamedTuple):
    """A loss at one point in one dtype, and what all gradients there share."""

    loss: Any
    args: tuple[Any, ...]
    reference: list[Any]
    numerical: Numerical


class Verdict(NamedTuple):
    """What one checker did with one gradient, and how right our diagnosis is."""

    checker: str
    network: str
    dtype: str
    mutant: str
    killed: bool
    named: str = ""


def setting(loss: Any, args: tuple[Any, ...]) -> Setting:
    """Make a loss of the parameters' leaves, and take autodiff's gradient as a reference."""
    params, *rest = args
    structure, compiled = jax.tree.structure(params), _jitted(loss)

    def of_leaves(leaves: Any) -> Any:
        return compiled(structure.unflatten(leaves), *rest)

    _, reference = jitted_autodiff(loss)(*args)
    leaves = jax.tree.leaves(params)
    return Setting(of_leaves, args, jax.tree.leaves(reference), Numerical(of_leaves, leaves))


@lru_cache
def _jitted(loss: Any) -> Any:
    return jax.jit(loss)


def ask_peers(at: Setting, grads: Any, dtype: str) -> Iterator[tuple[Peer, bool]]:
    """Yield each peer that judges such a gradient, and whether it lets it pass."""
    leaves = jax.tree.leaves(at.args[0])
    parameters = sum(leaf.size for leaf in leaves)
    question = Question(at.loss, leaves, jax.tree.leaves(grads), at.reference, at.numerical)
    for peer in PEERS:
        if dtype in peer.dtypes and parameters <= peer.largest:
            yield peer, peer.passes(question)


def judge_mutant(mutant_name: str, name: str) -> tuple[list[Verdict], bool]:
    """Return every checker's verdicts on one network, and whether the mutant changes anything."""
    at, verdicts = point(name), []
    loss, planted = judged_loss(at.network), plant(MUTANTS[mutant_name])

    def gradient(params: Any, batch: Any, penalties: Any) -> Any:
        return planted(params, batch, network=at.network, penalties=penalties)

    if _is_equivalent(gradient, name):
        return [], True
    for dtype in DTYPES:
        with jax.enable_x64(dtype == "float64"):
            shared = _mutants_setting(name, dtype)
            _, grads = jax.jit(gradient)(*shared.args)
            report = check_value_and_grad(loss, gradient, *shared.args)
            right = outcome(report.diagnosis, MUTANTS[mutant_name].right)
            verdicts.append(Verdict(OURS, name, dtype, mutant_name, not report.passed, right))
            for peer, passes in ask_peers(shared, grads, dtype):
                verdicts.append(Verdict(peer.name, name, dtype, mutant_name, not passes))
    return verdicts, False


@lru_cache
def _mutants_setting(name: str, dtype: str) -> Setting:
    at = point(name)
    return setting(judged_loss(at.network), at.in_dtype(dtype))


def _is_equivalent(gradient: Any, name: str) -> bool:
    with jax.enable_x64(True):
        shared = _mutants_setting(name, "float64")
        _, grads = jax.jit(gradient)(*shared.args)
        return all(
            np.linalg.norm(mine - theirs) <= EQUIVALENT * np.linalg.norm(theirs)
            for mine, theirs in zip(jax.tree.leaves(grads), shared.reference, strict=True)
        )


def judge_correct(problems: Iterable[Problem]) -> list[tuple[str, str, bool]]:
    """Return (checker, dtype, alarm) for correct gradients."""
    found = []
    for problem in problems:
        params, batch = build(problem)
        loss, hand = judged_loss(problem.network), _hand(problem.network)
        for dtype in DTYPES:
            with jax.enable_x64(dtype == "float64"):
                args = to_dtype((params, batch, problem.penalties), dtype)
                report = check_value_and_grad(loss, hand, *args)
                found.append((OURS, dtype, not report.passed))
                _, grads = jax.jit(hand)(*args)
                found += [
                    (peer.name, dtype, not passes)
                    for peer, passes in ask_peers(setting(loss, args), grads, dtype)
                ]
    return found


@lru_cache
def _hand(network: Any) -> Any:
    def hand(params: Any, batch: Any, penalties: Any) -> Any:
        return value_and_grad(params, batch, network=network, penalties=penalties)

    return hand
