"""Other gradient checkers, each at its documented defaults and set up as its users would.

A peer is asked about one gradient at one point, which is computed once and handed to all: peers of
first order look at it nowhere else. Those that ask for double precision judge float64 alone.
"""

# pyright: reportMissingImports=false
# (the peers are in the extra "bench", which linting does without)

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.test_util import check_grads
from scipy.optimize import approx_fprime

SCIPY_BOUND = 1e-5  # check_grad returns a distance and leaves the verdict to its user
CS231N_STEP, CS231N_BOUND, CS231N_CHECKS = 1e-5, 1e-4, 10
LLMC_BOUND = 2e-2


class Question:
    """One gradient at one point: the loss, its parameters' leaves, and the gradient's.

    Args:
      loss: compiled, of a list of leaves, in the dtype that is judged.
      leaves, grads: parameters, and the gradient to be judged.
      reference: autodiff's gradient in the same dtype.
      numerical: what depends on the loss and the point alone, kept from mutant to mutant.
    """

    def __init__(
        self,
        loss: Callable[[Sequence[Any]], Any],
        leaves: list[Any],
        grads: list[Any],
        reference: list[Any],
        numerical: Numerical,
    ) -> None:
        self.loss, self.leaves, self.grads = loss, leaves, grads
        self.reference, self.numerical = reference, numerical


class Numerical:
    """Numerical derivatives of one loss at one point, by scipy and as CS231n's notes do it."""

    def __init__(self, loss: Callable[[Sequence[Any]], Any], leaves: list[Any]) -> None:
        self.loss, self.leaves = loss, [np.asarray(leaf) for leaf in leaves]

    def at(self, flat: np.ndarray) -> float:
        """Return the loss at parameters that lie in one vector."""
        ends = np.cumsum([leaf.size for leaf in self.leaves])[:-1]
        parts = np.split(flat, ends)
        shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, self.leaves, strict=True)]
        return float(self.loss(shaped))

    @cached_property
    def scipy(self) -> np.ndarray:
        """The forward differences that scipy.optimize.check_grad compares with."""
        flat = np.concatenate([leaf.ravel() for leaf in self.leaves])
        return np.asarray(approx_fprime(flat, self.at, np.sqrt(np.finfo(float).eps)))

    @cached_property
    def cs231n(self) -> list[tuple[int, tuple[int, ...], float]]:
        """Central differences at 10 random elements of each array: ``grad_check_sparse``."""
        generator, found = np.random.default_rng(0), []
        for number, leaf in enumerate(self.leaves):
            for _ in range(CS231N_CHECKS):
                index = tuple(int(generator.integers(size)) for size in leaf.shape)
                ends = []
                for step in (CS231N_STEP, -CS231N_STEP):
                    moved = [array.copy() for array in self.leaves]
                    moved[number][index] += step
                    ends.append(float(self.loss(moved)))
                found.append((number, index, (ends[0] - ends[1]) / (2 * CS231N_STEP)))
        return found


class Peer(NamedTuple):
    """A checker: does it let a gradient pass?"""

    name: str
    passes: Callable[[Question], bool]
    dtypes: tuple[str, ...] = ("float32", "float64")
    largest: int = 10**9  # parameters beyond which it takes minutes a gradient
    note: str = ""


def _with_vjp(question: Question) -> Callable[..., Any]:
    @jax.custom_vjp
    def function(*leaves: Any) -> Any:
        return question.loss(leaves)

    function.defvjp(
        lambda *leaves: (question.loss(leaves), None),
        lambda _, cotangent: tuple(cotangent * grad for grad in question.grads),
    )
    return function


def _with_jvp(question: Question) -> Callable[..., Any]:
    @jax.custom_jvp
    def function(*leaves: Any) -> Any:
        return question.loss(leaves)

    @function.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        pairs = zip(question.grads, tangents, strict=True)
        return question.loss(primals), sum(jnp.vdot(grad, tangent) for grad, tangent in pairs)

    return function


def _raises_nothing(check: Callable[[], Any], kind: type[Exception]) -> bool:
    try:
        check()
    except kind:
        return False
    return True


def _jax_reverse(question: Question) -> bool:
    def check() -> None:
        check_grads(_with_vjp(question), tuple(question.leaves), order=1, modes=["rev"])

    return _raises_nothing(check, AssertionError)


def _jax_forward(question: Question) -> bool:
    def check() -> None:
        check_grads(_with_jvp(question), tuple(question.leaves), order=1, modes=["fwd"])

    return _raises_nothing(check, AssertionError)


def _chex(question: Question) -> bool:
    import chex  # the one peer that isn't installed for other reasons

    def check() -> None:
        chex.assert_numerical_grads(
            _with_vjp(question), tuple(question.leaves), order=1, modes=["rev"]
        )

    return _raises_nothing(check, AssertionError)


def _torch(question: Question, *, fast: bool) -> bool:
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *leaves: torch.Tensor) -> torch.Tensor:
            value = question.loss([leaf.detach().numpy() for leaf in leaves])
            return torch.tensor(float(value), dtype=torch.float64)

        @staticmethod
        def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
            return tuple(cotangents[0] * torch.tensor(np.asarray(g)) for g in question.grads)

    inputs = tuple(torch.tensor(np.asarray(leaf), requires_grad=True) for leaf in question.leaves)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(
            torch.autograd.gradcheck(Function.apply, inputs, fast_mode=fast, raise_exception=False)
        )


def _scipy(question: Question) -> bool:
    flat = np.concatenate([np.asarray(grad).ravel() for grad in question.grads])
    # What check_grad returns, its differences kept from one mutant to the next.
    return bool(np.sqrt(np.sum((flat - question.numerical.scipy) ** 2)) <= SCIPY_BOUND)


def _cs231n(question: Question) -> bool:
    worst = 0.0
    for number, index, numerical in question.numerical.cs231n:
        analytic = float(np.asarray(question.grads[number])[index])
        scale = abs(numerical) + abs(analytic)
        worst = max(worst, abs(numerical - analytic) / scale if scale > 0 else 0.0)
    return worst <= CS231N_BOUND


def _llmc(question: Question) -> bool:
    pairs = zip(question.grads, question.reference, strict=True)
    return all(
        np.max(np.abs(np.asarray(grad) - np.asarray(theirs))) <= LLMC_BOUND
        for grad, theirs in pairs
    )


DOUBLE = ("float64",)
PEERS = (
    Peer("jax check_grads, reverse", _jax_reverse),
    Peer("jax check_grads, forward", _jax_forward),
    Peer("chex assert_numerical_grads", _chex),
    Peer(
        "PyTorch gradcheck, slow",
        lambda question: _torch(question, fast=False),
        DOUBLE,
        largest=2_000,
        note="two evaluations a parameter: minutes a gradient at 784-100-10, so not run there",
    ),
    Peer("PyTorch gradcheck, fast", lambda question: _torch(question, fast=True), DOUBLE),
    Peer(
        "scipy check_grad",
        _scipy,
        DOUBLE,
        largest=2_000,
        note=f"returns a distance, no verdict: killed above {SCIPY_BOUND:g}; an evaluation a "
        "parameter, so not run at 784-100-10",
    ),
    Peer(
        "CS231n relative error",
        _cs231n,
        DOUBLE,
        note=f"grad_check_sparse, {CS231N_CHECKS} elements an array; killed above "
        f"{CS231N_BOUND:g}, which its notes call too high without kinks",
    ),
    Peer(
        "llm.c absolute tolerance",
        _llmc,
        note=f"every element within {LLMC_BOUND:g} of a reference's, here autodiff's",
    ),
)
