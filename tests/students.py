"""A student's network in NumPy, apart from the package's own equations."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

RATE = 0.5
Steps = dict[str, Any]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "sigmoid": (sigmoid, lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a**2),
    "relu": (lambda z: z * (z > 0), lambda z, a: (z > 0) * 1.0),
}


def draw(sizes: tuple[int, ...] = (4, 5, 3), examples: int = 6, seed: int = 0) -> Steps:
    """Return X, labels y, their one-hot rows L, and each layer's W and b."""
    generator = np.random.default_rng(seed)
    layers = {
        f"{name}{n}": generator.normal(size=shape)
        for n, (rows, columns) in enumerate(pairwise(sizes), 1)
        for name, shape in (("W", (rows, columns)), ("b", (columns,)))
    }
    y = generator.permutation(np.resize([*range(sizes[-1]), 0, 0], examples))
    return {
        "X": generator.normal(size=(examples, sizes[0])),
        "y": y,
        "L": np.eye(sizes[-1])[y],
    } | layers


def solve(
    given: Steps, activation: str = "sigmoid", loss: str = "softmax", l2: float = 0.0
) -> Steps:
    """Return every step of the mean loss, by the names Z1, A1 ... loss, dZ2, dW2 ... new_b1."""
    act, slope = ACTIVATIONS[activation]
    top, n, labels = sum(name[0] == "W" for name in given), len(given["X"]), given["L"]
    s: Steps = {"A0": given["X"]}
    for k in range(1, top + 1):
        s[f"Z{k}"] = s[f"A{k - 1}"] @ given[f"W{k}"] + given[f"b{k}"]
        s[f"A{k}"] = act(s[f"Z{k}"]) if k < top else s[f"Z{k}"]
    z = s[f"Z{top}"]
    if loss == "softmax":
        terms = np.exp(z - z.max(axis=1, keepdims=True))
        y = terms / terms.sum(axis=1, keepdims=True)
        value = -np.sum(np.log(np.sum(labels * y, axis=1)))
    elif loss == "sigmoids":
        y = sigmoid(z)
        value = -np.sum(labels * np.log(y) + (1 - labels) * np.log(1 - y))
    else:
        y = z
        value = 0.5 * np.sum((y - labels) ** 2)
    s[f"A{top}"] = y
    s["loss"] = value / n + l2 / 2 * sum(np.sum(given[f"W{k}"] ** 2) for k in range(1, top + 1))
    s[f"dZ{top}"] = (y - labels) / n
    for k in range(top, 0, -1):
        if k < top:
            s[f"dA{k}"] = s[f"dZ{k + 1}"] @ given[f"W{k + 1}"].T
            s[f"dZ{k}"] = s[f"dA{k}"] * slope(s[f"Z{k}"], s[f"A{k}"])
        s[f"dW{k}"] = s[f"A{k - 1}"].T @ s[f"dZ{k}"] + l2 * given[f"W{k}"]
        s[f"db{k}"] = s[f"dZ{k}"].sum(axis=0)
    for k in range(1, top + 1):
        s[f"new_W{k}"] = given[f"W{k}"] - RATE * s[f"dW{k}"]
        s[f"new_b{k}"] = given[f"b{k}"] - RATE * s[f"db{k}"]
    del s["A0"]
    return s


def parameters(given: Steps) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    top = sum(name[0] == "W" for name in given)
    return tuple((given[f"W{k}"], given[f"b{k}"]) for k in range(1, top + 1))


G = draw()
S = solve(G)
DW = {name: S[name] for name in ("dW1", "dW2")}
P, BATCH = parameters(G), (G["X"], G["y"])
N, K = G["L"].shape
HOMEWORK = {  # each step by the homework's name
    "pre_activations": S["Z1"],
    "hidden": S["A1"],
    "logits": S["Z2"],
    "outputs": S["A2"],
    "loss": S["loss"],
    "d_logits": S["dZ2"],
    "d_output_weights": S["dW2"],
    "d_output_biases": S["db2"],
    "d_hidden": S["dA1"],
    "d_pre_activations": S["dZ1"],
    "d_hidden_weights": S["dW1"],
    "d_hidden_biases": S["db1"],
}
SQUARE = draw((3, 3, 3), 3, seed=5)
Q = solve(SQUARE)
DEEP = draw((3, 4, 5, 2), 7, seed=2)


def named(style: Callable[[str], str], of: Steps = S) -> Steps:
    return {style(name): value for name, value in of.items()}
