"""Wrong backward passes as people write them, each with the line of the loss where it is wrong.

Written after the catalogue of ``referee/naming`` and before it was tried on any of them; what was
changed in the catalogue since is listed in README.md beside this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from wrong_rules import (
    Backward,
    attention_rule,
    convolution_rule,
    dense_rule,
    embedding_rule,
    entropy_rule,
    gates_rule,
    norm_rule,
    pool_rule,
    recurrent_rule,
    softmax_rule,
    squared_rule,
    unary_rule,
)


class Mistake(NamedTuple):
    """One wrong backward.

    Args:
      family, op: whose operation is replaced.
      what: the mistake, in a few words.
      line: a part of the line of the loss whose backward is wrong; several where the mistake is
        one in all of them.
      backward: the wrong rule.
    """

    family: str
    op: str
    what: str
    line: tuple[str, ...]
    backward: Backward


def _of(
    family: str, op: str, line: tuple[str, ...], wrong: Mapping[str, Backward]
) -> Iterator[Mistake]:
    """Yield an operation's mistakes in one line of a family's loss."""
    return (Mistake(family, op, what, line, backward) for what, backward in wrong.items())


def _made(rule: Callable[[str], Backward], *whats: str) -> dict[str, Backward]:
    """Return a rule's mistakes by what they are."""
    return {what: rule(what) for what in whats}


DENSE = ("x @ weights + biases",)
MEAN, NORM = ("x - x.mean(-1",), ("centred / jnp.sqrt",)
VARIANCE = ("variance = (centred**2).mean(-1",)
BATCH_MEAN, BATCH_NORM = ("x - x.mean(0)",), ("centred * jax.lax.rsqrt",)
BATCH_VARIANCE = ("variance = (centred**2).mean(0)",)
CELL, HIDDEN, ADDED = "kept = ", "jax.nn.sigmoid(o) * jnp.tanh(cell)", "kept + jax.nn"
MISTAKES = (
    *_of(
        "mlp",
        "dense",
        DENSE,
        {
            "dX by W": dense_rule(x=lambda x, w, ct: ct @ jnp.ones_like(w).T),
            "dW of the absolute input": dense_rule(w=lambda x, w, ct: jnp.abs(x).T @ ct),
            "db the mean": dense_rule(b=lambda x, w, ct: ct.mean(0)),
            "db of one example": dense_rule(b=lambda x, w, ct: ct[0]),
            "dW of inputs shifted": dense_rule(w=lambda x, w, ct: jnp.roll(x, 1, 0).T @ ct),
            "dW with the mean taken again": dense_rule(w=lambda x, w, ct: x.T @ ct / len(x)),
            "dW forgotten": dense_rule(w=lambda x, w, ct: 0 * w),
            "dW of the product of means": dense_rule(
                w=lambda x, w, ct: jnp.outer(x.mean(0), ct.sum(0))
            ),
        },
    ),
    *_of(
        "mlp",
        "tanh",
        ("jnp.tanh(x)",),
        {
            "left out": unary_rule(lambda x: 1.0),
            "formula at the input": unary_rule(lambda x: 1 - x**2),
            "1 - tanh": unary_rule(lambda x: 1 - jnp.tanh(x)),
            "1 + tanh^2": unary_rule(lambda x: 1 + jnp.tanh(x) ** 2),
            "the sigmoid's": unary_rule(lambda x: jnp.tanh(x) * (1 - jnp.tanh(x))),
            "tanh applied twice": unary_rule(lambda x: 1 - jnp.tanh(jnp.tanh(x)) ** 2),
        },
    ),
    *_of(
        "mlp",
        "relu",
        ("jnp.where(x > 0",),
        {
            "left out": unary_rule(lambda x: 1.0),
            "the other side": unary_rule(lambda x: 1.0 * (x <= 0)),
            "x for 1": unary_rule(lambda x: jnp.maximum(x, 0)),
            "leaky": unary_rule(lambda x: jnp.where(x > 0, 1, 0.01)),
        },
    ),
    *_of(
        "mlp",
        "cross_entropy",
        ("jax.nn.log_softmax(logits)", "-jnp.mean(jnp.take"),
        _made(
            entropy_rule,
            *("labels forgotten", "sign", "sum", "over the classes", "label alone"),
            *("softmax twice", "labels shifted", "sigmoid", "softmax's slope again"),
        ),
    ),
    *_of("layer_norm", "layer_norm", MEAN, _made(partial(norm_rule, -1), "mean held")),
    *_of(
        "layer_norm",
        "layer_norm",
        (*VARIANCE, *NORM),
        _made(partial(norm_rule, -1), "variance held", "sum for mean", "ddof", "variance twice"),
    ),
    *_of(
        "layer_norm",
        "layer_norm",
        (*MEAN, *VARIANCE, *NORM),
        _made(partial(norm_rule, -1), "both held"),
    ),
    *_of(
        "layer_norm",
        "layer_norm",
        NORM,
        _made(
            partial(norm_rule, -1),
            *("gain forgotten", "not normalised", "inverse forgotten"),
            *("gain of centred", "gain's mean", "bias of scaled"),
        ),
    ),
    *_of(
        "layer_norm",
        "silu",
        ("x * jax.nn.sigmoid(x)",),
        {
            "the sigmoid alone": unary_rule(jax.nn.sigmoid),
            "the sigmoid held back": unary_rule(
                lambda x: x * jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x))
            ),
            "left out": unary_rule(lambda x: 1.0),
        },
    ),
    *_of(
        "layer_norm",
        "squared",
        ("0.5 * jnp.mean",),
        {
            "the half forgotten": squared_rule(lambda o, t: 2 * (o - t) / len(o)),
            "the mean over all elements": squared_rule(lambda o, t: (o - t) / o.size),
            "the absolute error's": squared_rule(lambda o, t: jnp.sign(o - t) / len(o)),
        },
    ),
    *_of("batch_norm", "batch_norm", BATCH_MEAN, _made(partial(norm_rule, 0), "mean held")),
    *_of(
        "batch_norm",
        "batch_norm",
        (*BATCH_VARIANCE, *BATCH_NORM),
        _made(partial(norm_rule, 0), "variance held", "sum for mean", "ddof"),
    ),
    *_of(
        "batch_norm",
        "batch_norm",
        (*BATCH_MEAN, *BATCH_VARIANCE, *BATCH_NORM),
        _made(partial(norm_rule, 0), "both held"),
    ),
    *_of(
        "batch_norm",
        "batch_norm",
        BATCH_NORM,
        _made(partial(norm_rule, 0), "gain forgotten", "inverse forgotten", "gain of centred"),
    ),
    *_of(
        "attention",
        "attention",
        ("e / e.sum", "jnp.exp(x", "softmax(jnp.where"),
        _made(
            attention_rule,
            *("over the columns", "diagonal", "row sum forgotten", "row sum unweighted"),
            *("softmax left out", "softmax left out, masked"),
        ),
    ),
    *_of(
        "attention",
        "attention",
        ("q @ k.T / np.sqrt",),
        _made(
            attention_rule,
            *("scale forgotten", "scale twice", "q for k", "scores for their transpose"),
            *("scale in q alone", "swapped"),
        ),
    ),
    *_of(
        "attention",
        "attention",
        ("weights @ v",),
        _made(attention_rule, "weights for their transpose"),
    ),
    *_of(
        "convolution",
        "convolution",
        ("jax.lax.conv(",),
        _made(
            convolution_rule,
            *("kernel's gradient flipped", "mean over the batch", "one example"),
            *("rows shifted", "padding as valid"),
        ),
    ),
    *_of(
        "convolution",
        "pool",
        ("blocks.max((3, 5))",),
        _made(pool_rule, "to every element", "mean", "below the highest"),
    ),
    *_of(
        "convolution",
        "dense",
        DENSE,
        {"dX by the sign of W": dense_rule(x=lambda x, w, ct: ct @ jnp.sign(w).T)},
    ),
    *_of(
        "recurrent",
        "recurrent",
        ("jnp.tanh(x @ outer",),
        _made(
            recurrent_rule,
            *("derivative left out", "derivative of the state before", "not transposed"),
            *("not passed on", "before the derivative", "the state after"),
            *("inner's gradient of one example", "outer's mean"),
        ),
    ),
    *(
        Mistake("lstm", "gates", what, (line,), gates_rule(what))
        for what, line in (
            ("output's tanh left out", HIDDEN),
            ("cell not passed on", CELL),
            ("cell alone", HIDDEN),
            ("forget of the cell after", CELL),
            ("candidate's derivative left out", ADDED),
            ("input's derivative left out", ADDED),
            ("forget gate held", CELL),
            ("gates in another order", "jnp.split("),
            ("forget's factor left out", CELL),
        )
    ),
    *_of(
        "embedding",
        "embedding",
        ("table[ids]",),
        _made(
            embedding_rule,
            *("overwritten", "mean", "shifted", "first column of ids"),
            *("padding kept out", "half"),
        ),
    ),
    *_of(
        "softmax",
        "softmax",
        ("jnp.exp(x", "e / e.sum"),
        _made(
            softmax_rule,
            *("diagonal", "left out", "over the batch", "sum forgotten"),
            *("sum unweighted", "sign of the sum"),
        ),
    ),
    *_of(
        "softmax",
        "dense",
        DENSE,
        {"db over all classes": dense_rule(b=lambda x, w, ct: jnp.full(ct.shape[1], ct.sum()))},
    ),
)
