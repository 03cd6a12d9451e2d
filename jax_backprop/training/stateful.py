"""Parameters of a network that carries state from step to step beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import PyTree

from jax_backprop.errors import InputError


class Stateful(NamedTuple):
    """Parameters, and what a step carries beside them without a gradient: batch statistics, say.

    Where ``init`` returns one, ``value_and_grad`` returns ``loss, Stateful(grads, next state)``.

    Example:
      >>> Stateful(params=1.0, state=None).params
      1.0
    """

    params: PyTree
    state: PyTree


def trained_part(params: PyTree) -> PyTree:
    """Return the parameters that an optimizer moves: all of them, where no state is carried."""
    return params.params if isinstance(params, Stateful) else params


def parameters_alone(params: PyTree, what: str, because: str, remedy: str) -> PyTree:
    """Return the parameters of a network that carries no state; raise InputError for another's."""
    if isinstance(params, Stateful):
        raise InputError(
            what,
            got="a network with state beside its parameters",
            expected=f"parameters alone, {because}",
            remedy=remedy,
        )
    return params


def following_state(start: Stateful, found: Any) -> PyTree:
    """Return the next state beside a gradient, in the types of the one that it follows.

    Raises InputError where there is none, or one of another form.
    """
    forms = [
        jax.tree.map(jax.numpy.shape, each.state if isinstance(each, Stateful) else None)
        for each in (start, found)
    ]
    if forms[0] != forms[1]:
        raise InputError(
            "value_and_grad",
            got=f"a next state of the form {forms[1]}",
            expected=f"loss, Stateful(grads, next state), as init's: {forms[0]}",
            remedy="Return what follows, of the same form as it was given.",
        )
    return optax.tree.cast_like(found.state, start.state)
