"""Wrong backward passes as people write them, each with the line of the loss where it is wrong.

Written after the catalogue of ``referee/naming`` and before it was tried on any of them; what was
changed in the catalogue since is listed in README.md beside this file.
"""

from __future__ import annotations

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


SOFT = ("jnp.exp(x", "e / e.sum")
M = Mistake
MISTAKES = (
    M(
        "mlp",
        "dense",
        "dX by W",
        ("x @ weights + biases",),
        dense_rule(x=lambda x, w, ct: ct @ jnp.ones_like(w).T),
    ),
    M(
        "mlp",
        "dense",
        "dW of the absolute input",
        ("x @ weights + biases",),
        dense_rule(w=lambda x, w, ct: jnp.abs(x).T @ ct),
    ),
    M(
        "mlp",
        "dense",
        "db the mean",
        ("x @ weights + biases",),
        dense_rule(b=lambda x, w, ct: ct.mean(0)),
    ),
    M(
        "mlp",
        "dense",
        "db of one example",
        ("x @ weights + biases",),
        dense_rule(b=lambda x, w, ct: ct[0]),
    ),
    M(
        "mlp",
        "dense",
        "dW of inputs shifted",
        ("x @ weights + biases",),
        dense_rule(w=lambda x, w, ct: jnp.roll(x, 1, 0).T @ ct),
    ),
    M(
        "mlp",
        "dense",
        "dW with the mean taken again",
        ("x @ weights + biases",),
        dense_rule(w=lambda x, w, ct: x.T @ ct / len(x)),
    ),
    M(
        "mlp",
        "dense",
        "dW forgotten",
        ("x @ weights + biases",),
        dense_rule(w=lambda x, w, ct: 0 * w),
    ),
    M(
        "mlp",
        "dense",
        "dW of the product of means",
        ("x @ weights + biases",),
        dense_rule(w=lambda x, w, ct: jnp.outer(x.mean(0), ct.sum(0))),
    ),
    M("mlp", "tanh", "left out", ("jnp.tanh(x)",), unary_rule(lambda x: 1.0)),
    M("mlp", "tanh", "formula at the input", ("jnp.tanh(x)",), unary_rule(lambda x: 1 - x**2)),
    M("mlp", "tanh", "1 - tanh", ("jnp.tanh(x)",), unary_rule(lambda x: 1 - jnp.tanh(x))),
    M("mlp", "tanh", "1 + tanh^2", ("jnp.tanh(x)",), unary_rule(lambda x: 1 + jnp.tanh(x) ** 2)),
    M(
        "mlp",
        "tanh",
        "the sigmoid's",
        ("jnp.tanh(x)",),
        unary_rule(lambda x: jnp.tanh(x) * (1 - jnp.tanh(x))),
    ),
    M(
        "mlp",
        "tanh",
        "tanh applied twice",
        ("jnp.tanh(x)",),
        unary_rule(lambda x: 1 - jnp.tanh(jnp.tanh(x)) ** 2),
    ),
    M("mlp", "relu", "left out", ("jnp.where(x > 0",), unary_rule(lambda x: 1.0)),
    M("mlp", "relu", "the other side", ("jnp.where(x > 0",), unary_rule(lambda x: 1.0 * (x <= 0))),
    M("mlp", "relu", "x for 1", ("jnp.where(x > 0",), unary_rule(lambda x: jnp.maximum(x, 0))),
    M(
        "mlp",
        "relu",
        "leaky",
        ("jnp.where(x > 0",),
        unary_rule(lambda x: jnp.where(x > 0, 1, 0.01)),
    ),
    *(
        M(
            "mlp",
            "cross_entropy",
            what,
            ("jax.nn.log_softmax(logits)", "-jnp.mean(jnp.take"),
            entropy_rule(what),
        )
        for what in (
            "labels forgotten",
            "sign",
            "sum",
            "over the classes",
            "label alone",
            "softmax twice",
            "labels shifted",
            "sigmoid",
            "softmax's slope again",
        )
    ),
    M("layer_norm", "layer_norm", "mean held", ("x - x.mean(-1",), norm_rule(-1, "mean held")),
    *(
        M(
            "layer_norm",
            "layer_norm",
            what,
            ("variance = (centred**2).mean(-1", "centred / jnp.sqrt"),
            norm_rule(-1, what),
        )
        for what in ("variance held", "sum for mean", "ddof", "variance twice")
    ),
    M(
        "layer_norm",
        "layer_norm",
        "both held",
        ("x - x.mean(-1", "variance = (centred**2).mean(-1", "centred / jnp.sqrt"),
        norm_rule(-1, "both held"),
    ),
    *(
        M("layer_norm", "layer_norm", what, ("centred / jnp.sqrt",), norm_rule(-1, what))
        for what in (
            "gain forgotten",
            "not normalised",
            "inverse forgotten",
            "gain of centred",
            "gain's mean",
            "bias of scaled",
        )
    ),
    M(
        "layer_norm",
        "silu",
        "the sigmoid alone",
        ("x * jax.nn.sigmoid(x)",),
        unary_rule(jax.nn.sigmoid),
    ),
    M(
        "layer_norm",
        "silu",
        "the sigmoid held back",
        ("x * jax.nn.sigmoid(x)",),
        unary_rule(lambda x: x * jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x))),
    ),
    M("layer_norm", "silu", "left out", ("x * jax.nn.sigmoid(x)",), unary_rule(lambda x: 1.0)),
    M(
        "layer_norm",
        "squared",
        "the half forgotten",
        ("0.5 * jnp.mean",),
        squared_rule(lambda o, t: 2 * (o - t) / len(o)),
    ),
    M(
        "layer_norm",
        "squared",
        "the mean over all elements",
        ("0.5 * jnp.mean",),
        squared_rule(lambda o, t: (o - t) / o.size),
    ),
    M(
        "layer_norm",
        "squared",
        "the absolute error's",
        ("0.5 * jnp.mean",),
        squared_rule(lambda o, t: jnp.sign(o - t) / len(o)),
    ),
    M("batch_norm", "batch_norm", "mean held", ("x - x.mean(0)",), norm_rule(0, "mean held")),
    *(
        M(
            "batch_norm",
            "batch_norm",
            what,
            ("variance = (centred**2).mean(0)", "centred * jax.lax.rsqrt"),
            norm_rule(0, what),
        )
        for what in ("variance held", "sum for mean", "ddof")
    ),
    M(
        "batch_norm",
        "batch_norm",
        "both held",
        ("x - x.mean(0)", "variance = (centred**2).mean(0)", "centred * jax.lax.rsqrt"),
        norm_rule(0, "both held"),
    ),
    *(
        M("batch_norm", "batch_norm", what, ("centred * jax.lax.rsqrt",), norm_rule(0, what))
        for what in ("gain forgotten", "inverse forgotten", "gain of centred")
    ),
    *(
        M(
            "attention",
            "attention",
            what,
            ("e / e.sum", "jnp.exp(x", "softmax(jnp.where"),
            attention_rule(what),
        )
        for what in (
            "over the columns",
            "diagonal",
            "row sum forgotten",
            "row sum unweighted",
            "softmax left out",
            "softmax left out, masked",
        )
    ),
    *(
        M("attention", "attention", what, ("q @ k.T / np.sqrt",), attention_rule(what))
        for what in (
            "scale forgotten",
            "scale twice",
            "q for k",
            "scores for their transpose",
            "scale in q alone",
            "swapped",
        )
    ),
    M(
        "attention",
        "attention",
        "weights for their transpose",
        ("weights @ v",),
        attention_rule("weights for their transpose"),
    ),
    *(
        M("convolution", "convolution", what, ("jax.lax.conv(",), convolution_rule(what))
        for what in (
            "kernel's gradient flipped",
            "mean over the batch",
            "one example",
            "rows shifted",
            "padding as valid",
        )
    ),
    *(
        M("convolution", "pool", what, ("blocks.max((3, 5))",), pool_rule(what))
        for what in ("to every element", "mean", "below the highest")
    ),
    M(
        "convolution",
        "dense",
        "dX by the sign of W",
        ("x @ weights + biases",),
        dense_rule(x=lambda x, w, ct: ct @ jnp.sign(w).T),
    ),
    *(
        M("recurrent", "recurrent", what, ("jnp.tanh(x @ outer",), recurrent_rule(what))
        for what in (
            "derivative left out",
            "derivative of the state before",
            "not transposed",
            "not passed on",
            "before the derivative",
            "the state after",
            "inner's gradient of one example",
            "outer's mean",
        )
    ),
    *(
        M("lstm", "gates", what, (line,), gates_rule(what))
        for what, line in (
            ("output's tanh left out", "jax.nn.sigmoid(o) * jnp.tanh(cell)"),
            ("cell not passed on", "kept = "),
            ("cell alone", "jax.nn.sigmoid(o) * jnp.tanh(cell)"),
            ("forget of the cell after", "kept = "),
            ("candidate's derivative left out", "kept + jax.nn"),
            ("input's derivative left out", "kept + jax.nn"),
            ("forget gate held", "kept = "),
            ("gates in another order", "jnp.split("),
            ("forget's factor left out", "kept = "),
        )
    ),
    *(
        M("embedding", "embedding", what, ("table[ids]",), embedding_rule(what))
        for what in (
            "overwritten",
            "mean",
            "shifted",
            "first column of ids",
            "padding kept out",
            "half",
        )
    ),
    *(
        M("softmax", "softmax", what, SOFT, softmax_rule(what))
        for what in (
            "diagonal",
            "left out",
            "over the batch",
            "sum forgotten",
            "sum unweighted",
            "sign of the sum",
        )
    ),
    M(
        "softmax",
        "dense",
        "db over all classes",
        ("x @ weights + biases",),
        dense_rule(b=lambda x, w, ct: jnp.full(ct.shape[1], ct.sum())),
    ),
)
