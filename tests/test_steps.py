"""A student's own steps: every usual convention passes, and the first wrong step is named."""

# ruff: noqa: E501, SIM905 - a convention a line

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from students import RATE, Steps, draw, parameters, sigmoid, solve

from jax_backprop import Batch, InputError, Layer, Network, check_steps
from jax_backprop.marking.catalogue import catalogue
from jax_backprop.marking.network import Model, follow, order

G = draw()
S = solve(G)
P, BATCH = parameters(G), (G["X"], G["y"])
N, K = G["L"].shape
DW = {name: S[name] for name in ("dW1", "dW2")}
GRADS = [S[name] for name in ("dW1", "db1", "dW2", "db2")]
SUMS = {
    name: value * N if name[:2] in ("dZ", "dA", "dW", "db") else value for name, value in S.items()
}
LATE = SUMS | {name: S[name] for name in S if name[:2] in ("dW", "db")}
HOMEWORK = dict(
    zip(
        "pre_activations hidden logits outputs loss d_logits d_output_weights d_output_biases d_hidden "
        "d_pre_activations d_hidden_weights d_hidden_biases".split(),
        (S[n] for n in "Z1 A1 Z2 A2 loss dZ2 dW2 db2 dA1 dZ1 dW1 db1".split()),
        strict=True,
    )
)
THETA = tuple(np.c_[b, W.T] for W, b in P)  # (H, d + 1), the course with the bias column first
THETA_GRADS = [np.c_[S[f"db{n}"], S[f"dW{n}"].T] for n in (1, 2)]
ONES = np.c_[np.ones(N), G["X"]]
OLD = {  # inputs are layer 1
    "z2": S["Z1"], "a2": S["A1"], "z3": S["Z2"], "a3": S["A2"], "delta3": SUMS["dZ2"],
    "delta2": SUMS["dZ1"], "Theta1_grad": THETA_GRADS[0], "Theta2_grad": THETA_GRADS[1],
}  # fmt: skip
B0 = {name: value * 0 if name[0] == "b" else value for name, value in G.items()}
NO_BIAS = {name: value for name, value in solve(B0).items() if "b" not in name}
SQUARE = draw((3, 3, 3), 3, seed=5)
Q = solve(SQUARE)
DEEP = draw((3, 4, 5, 2), 7, seed=2)
L2 = solve(G, l2=0.3)
COURSE = solve(G, loss="sigmoids", l2=0.3 / N)


def only(*names: str, of: Steps = S) -> Steps:
    return {name: of[name] for name in names}


def turned(steps: Steps) -> Steps:
    return {name: np.asarray(value).T for name, value in steps.items()}


def columns(steps: Steps) -> Steps:
    return {n: v[:, None] if "b" in n else np.asarray(v).T for n, v in steps.items()}


def named(style: Callable[[str], str], of: Steps = S) -> Steps:
    return {style(name): value for name, value in of.items()}


def vector(*arrays: np.ndarray, order: Any = "C") -> np.ndarray:
    return np.concatenate([each.ravel(order=order) for each in arrays])


# name: steps, params, batch, options, what has to be among what was assumed
Variant = tuple[Any, Any, Any, dict[str, Any], str]
VARIANTS: dict[str, Variant] = {
    "as here": (S, P, BATCH, {}, ""),
    "the homework's names": (HOMEWORK, P, BATCH, {}, ""),
    "pairs of layers": ({"d_weights": (S["dW1"], S["dW2"]), "d_biases": [S["db1"], S["db2"]]}, P, BATCH, {}, ""),
    "a batch and layers of the package": (S, tuple(Layer(*p) for p in P), Batch(*BATCH), {}, ""),
    "one-hot labels": (S, P, (G["X"], G["L"]), {}, "one-hot"),
    "one-hot labels as integers": (S, P, (G["X"], G["L"].astype(int)), {}, "one-hot"),
    "one-hot labels as truth": (S, P, (G["X"], G["L"] == 1), {}, "one-hot"),
    "one-hot columns": (S, P, (G["X"], G["L"].T), {}, "one-hot"),
    "float labels": (S, P, (G["X"], G["y"].astype(float)), {}, ""),
    "labels from 1": (S, P, (G["X"], G["y"] + 1), {}, "from 1"),
    "labels in a column": (S, P, (G["X"], G["y"][:, None]), {}, ""),
    "labels in a row": (S, P, (G["X"], G["y"][None]), {}, ""),
    "labels of bytes": (S, P, (G["X"], G["y"].astype(np.uint8)), {}, ""),
    "lists": (S, P, (G["X"].tolist(), G["y"].tolist()), {}, ""),
    "a dictionary for the batch": (S, P, {"X": G["X"], "y": G["y"]}, {}, ""),
    "data frames": (S, P, (pd.DataFrame(G["X"]), pd.Series(G["y"])), {}, ""),
    "data frames of another index": (S, P, (pd.DataFrame(G["X"]), pd.Series(G["y"], index=range(9, 3, -1))), {}, "order"),
    "steps as data frames": ({"dW1": pd.DataFrame(S["dW1"])}, P, BATCH, {}, ""),
    "a table of labels": (S, P, (G["X"], pd.DataFrame({"label": G["y"]})), {}, ""),
    "examples in columns": (turned(only("Z1", "A1", "Z2", "A2", "dZ2", "dA1", "dZ1")), P, (G["X"].T, G["y"]), {}, "columns"),
    "all in columns": (columns(S), tuple((w.T, b[:, None]) for w, b in P), (G["X"].T, G["y"]), {}, "fan_out, fan_in"),
    "columns of a square network": (columns(Q), tuple((w.T, b[:, None]) for w, b in parameters(SQUARE)), (SQUARE["X"].T, SQUARE["y"]), {}, "columns"),
    "a square network": (Q, parameters(SQUARE), (SQUARE["X"], SQUARE["y"]), {}, ""),
    "weights (H, d)": (S, tuple((w.T, b) for w, b in P), BATCH, {}, "fan_out, fan_in"),
    "gradients (H, d)": (S | turned(DW), P, BATCH, {}, "fan_out, fan_in"),
    "only gradients (H, d)": (turned(DW), P, BATCH, {}, "fan_out, fan_in"),
    "biases in a row": (S, tuple((w, b[None]) for w, b in P), BATCH, {}, ""),
    "bias gradients in a row": (S | {n: S[n][None] for n in ("db1", "db2")}, P, BATCH, {}, ""),
    "bias gradients in a column": (S | {n: S[n][:, None] for n in ("db1", "db2")}, P, BATCH, {}, ""),
    "flat list of parameters": (S, [*P[0], *P[1]], BATCH, {}, ""),
    "dictionary of parameters": (S, {"W1": P[0][0], "b1": P[0][1], "W2": P[1][0], "b2": P[1][1]}, BATCH, {}, ""),
    "the homework's parameters": (S, dict(zip(("hidden_weights", "hidden_biases", "output_weights", "output_biases"), (*P[0], *P[1]), strict=True)), BATCH, {}, ""),
    "a dictionary a layer": (S, [{"W": w, "b": b} for w, b in P], BATCH, {}, ""),
    "lists of weights and of biases": (S, {"weights": [w for w, _ in P], "biases": [b for _, b in P]}, BATCH, {}, ""),
    "weights counted from 0": ({"dW0": S["dW1"], "dW1": S["dW2"], "db0": S["db1"], "db1": S["db2"]}, P, BATCH, {}, "from 0"),
    "bias column": (OLD, THETA, BATCH, {}, "first column"),
    "bias column and column of ones": (OLD | {"a2": np.c_[np.ones(N), S["A1"]]}, THETA, (ONES, G["y"] + 1), {}, "ones"),
    "delta with the bias's unit": (OLD | {"delta2": np.c_[np.ones(N) * 3, SUMS["dZ1"]]}, THETA, BATCH, {}, "bias left out"),
    "bias column last": ({"dW1": np.c_[S["dW1"].T, S["db1"]], "dW2": np.c_[S["dW2"].T, S["db2"]]}, tuple(np.c_[w.T, b] for w, b in P), BATCH, {}, "last column"),
    "bias row": ({"dW1": np.r_[S["db1"][None], S["dW1"]]}, tuple(np.r_[b[None], w] for w, b in P), BATCH, {}, "first row"),
    "bias column of gradients alone": ({"dW1": THETA_GRADS[0], "dW2": THETA_GRADS[1]}, P, BATCH, {}, "first column"),
    "no biases": (NO_BIAS, tuple(w for w, _ in P), BATCH, {}, "no biases"),
    "biases None": (NO_BIAS, tuple((w, None) for w, _ in P), BATCH, {}, "no biases"),
    "biases of 0 as a number": (solve(B0), tuple((w, 0.0) for w, _ in P), BATCH, {}, ""),
    "unrolled gradient, C": ({"dW1": S["dW1"].ravel(), "dW2": S["dW2"].ravel()}, P, BATCH, {}, "row by row"),
    "unrolled gradient, Fortran": ({"dW1": S["dW1"].ravel("F")}, P, BATCH, {}, "unrolled"),
    "one vector": (vector(*GRADS), P, BATCH, {}, "unrolled"),
    "one vector by name": ({"grad": vector(*GRADS)}, P, BATCH, {}, "unrolled"),
    "one vector, bias columns, Fortran": ({"J": S["loss"], "grad": vector(*THETA_GRADS, order="F")}, THETA, BATCH, {}, "unrolled"),
    "loss and vector": ((S["loss"], vector(*THETA_GRADS, order="F")), THETA, BATCH, {}, "unrolled"),
    "all unrolled, Fortran": ({"grad": vector(*THETA_GRADS, order="F")}, vector(*THETA, order="F"), BATCH, {}, "column by column"),
    "all unrolled, C": ({"grad": vector(*GRADS)}, vector(*P[0], *P[1]), BATCH, {}, "row by row"),
    "a tuple": (tuple(GRADS), P, BATCH, {}, "by their shapes"),
    "a tuple from the top": ((S["dW2"], S["db2"], S["dW1"], S["db1"]), P, BATCH, {}, "dW2, db2"),
    "weights, then biases": ([S["dW1"], S["dW2"], S["db1"], S["db2"]], P, BATCH, {}, ""),
    "the two weight gradients": ((S["dW1"], S["dW2"]), P, BATCH, {}, ""),
    "loss and gradients": ((S["loss"], GRADS), P, BATCH, {}, ""),
    "gradients as layers": (((S["dW1"], S["db1"]), (S["dW2"], S["db2"])), P, BATCH, {}, ""),
    "gradients by name within": ({"loss": S["loss"], "grads": {"W1": S["dW1"], "b1": S["db1"]}}, P, BATCH, {}, ""),
    "gradients within, with a d": ({"grads": {"dW1": S["dW1"], "db2": S["db2"]}}, P, BATCH, {}, ""),
    "gradients as a list": ({"grads": [(S["dW1"], S["db1"]), (S["dW2"], S["db2"])]}, P, BATCH, {}, ""),
    "a cache": ({"cache": {"Z1": S["Z1"], "A1": S["A1"]}, "dW1": S["dW1"]}, P, BATCH, {}, ""),
    "forward values in a tuple": ((S["Z1"], S["A1"], S["Z2"], S["A2"]), P, BATCH, {}, ""),
    "grad_W1": (named(lambda n: n.replace("dW", "grad_W").replace("db", "grad_b")), P, BATCH, {}, ""),
    "W1_grad": ({"W1_grad": S["dW1"], "b2_grad": S["db2"]}, P, BATCH, {}, ""),
    "lower case": (named(str.lower), P, BATCH, {}, ""),
    "dz_2": (named(lambda n: n[:-1] + "_" + n[-1]), P, BATCH, {}, ""),
    "h, y_hat, J": ({"h1": S["A1"], "y_hat": S["A2"], "J": S["loss"]}, P, BATCH, {}, ""),
    "probs, dlogits, dhidden": ({"probs": S["A2"], "dlogits": S["dZ2"], "dhidden": S["dA1"]}, P, BATCH, {}, ""),
    "delta1, delta2": ({"delta1": S["dZ1"], "delta2": S["dZ2"]}, P, BATCH, {}, ""),
    "delta_out, delta_h": ({"delta_out": S["dZ2"], "delta_hidden": S["dZ1"]}, P, BATCH, {}, ""),
    "W1n": ({"W1n": S["new_W1"], "b1_new": S["new_b1"]}, P, BATCH, {}, ""),
    "extra keys": (S | {"accuracy": 0.5, "time": "now"}, P, BATCH, {}, "'accuracy' is no step"),
    "parameters among the steps": (S | {"W1": P[0][0]}, P, BATCH, {}, "'W1' is taken for a parameter"),
    "loss in an array": (S | {"loss": np.array([S["loss"]])}, P, BATCH, {}, ""),
    "a loss an example": (S | {"loss": -np.log((S["A2"] * G["L"]).sum(1))}, P, BATCH, {}, "each example"),
    "the sum": (SUMS | {"loss": S["loss"] * N, "new_W1": P[0][0] - RATE * SUMS["dW1"], "new_W2": P[1][0] - RATE * SUMS["dW2"],
                        "new_b1": P[0][1] - RATE * SUMS["db1"], "new_b2": P[1][1] - RATE * SUMS["db2"]}, P, BATCH, {}, "SUM"),
    "gradients of the sum": (only("dW1", "dW2", of=SUMS), P, BATCH, {}, "SUM"),
    "1/N in the gradients": (LATE, P, BATCH, {}, "1/N of the mean is taken in the weights'"),
    "float32": ({n: np.float32(v) for n, v in S.items()}, P, BATCH, {}, "float32"),
    "float32 in lists": ({n: np.float32(v).tolist() for n, v in S.items()}, P, BATCH, {}, "float32"),
    "K sigmoids, lambda/2m": (COURSE, P, BATCH, {"l2": 0.3}, "l2 / 2N"),
    "K sigmoids, asked for": (only("dW1", of=solve(G, loss="sigmoids")), P, BATCH, {"loss": "sigmoid_cross_entropy"}, ""),
    "one sigmoid": (solve(draw((4, 5, 1))| {"L": G["y"][:, None] > 1}, loss="sigmoids"), parameters(draw((4, 5, 1))), (draw((4, 5, 1))["X"], (G["y"] > 1) * 1), {}, ""),
    "a penalty": (L2, P, BATCH, {"l2": 0.3}, ""),
    "lambda/2m": (solve(G, l2=0.3 / N), P, BATCH, {"l2": 0.3}, "l2 / 2N"),
    "squared error": (solve(G, loss="squared"), P, BATCH, {"loss": "squared_error"}, ""),
    "tanh": (solve(G, "tanh"), P, BATCH, {"activation": "tanh"}, ""),
    "ReLU by the network": (solve(G, "relu"), P, BATCH, {"network": Network(layer_sizes=(4, 5, 3), activation="relu")}, ""),
    "two hidden layers": (solve(DEEP), parameters(DEEP), (DEEP["X"], DEEP["y"]), {}, ""),
    "lists of two hidden layers": ({"Z": [solve(DEEP)[f"Z{n}"] for n in (1, 2, 3)], "dW": [solve(DEEP)[f"dW{n}"] for n in (1, 2, 3)]}, parameters(DEEP), (DEEP["X"], DEEP["y"]), {}, ""),
    "no hidden layer": (solve(draw((4, 3))), parameters(draw((4, 3))), (draw((4, 3))["X"], draw((4, 3))["y"]), {}, ""),
    "unrolled, two hidden layers": ({"grad": vector(*[solve(DEEP)[f"d{p}{n}"] for n in (1, 2, 3) for p in "Wb"])}, vector(*[a for p in parameters(DEEP) for a in p]), (DEEP["X"], DEEP["y"]), {"layer_sizes": (3, 4, 5, 2)}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_a_right_solution_passes_in_any_convention(name: str) -> None:
    steps, params, batch, options, assumed = VARIANTS[name]
    report = check_steps(steps, params, batch, learning_rate=RATE, **options)
    assert report.passed, report.text()
    assert report.rows and assumed in "; ".join(report.assumed), report.text()


def test_one_example_needs_no_batch_axis() -> None:
    one = G | {"X": G["X"][:1], "L": G["L"][:1]}
    steps = {n: v[0] if np.ndim(v) == 2 and len(v) == 1 else v for n, v in solve(one).items()}
    report = check_steps(steps, P, (G["X"][0], G["y"][0]), learning_rate=RATE)
    assert report.passed and {"(14)", "(16)", "(5)"} <= {row.equation for row in report.rows}
    wrong = check_steps(
        steps | {"dA1": -steps["dA1"]}, P, (G["X"][0], G["y"][0]), learning_rate=RATE
    )
    assert wrong.first is not None and (wrong.first.step, wrong.first.equation) == ("dA1", "(18)")


def test_the_equations_are_the_ones_of_the_derivation() -> None:
    from jax_backprop.derivation.additions import ADDITIONS
    from jax_backprop.derivation.batch import PARAMETERS, batch_quantities
    from jax_backprop.derivation.catalogue import HOMEWORK as EQUATIONS

    point = dict(zip(PARAMETERS, (*P[0], *P[1]), strict=True)) | {
        "inputs": G["X"],
        "labels": G["L"],
    }
    truth = batch_quantities(point)
    named_here = {
        "A0": G["X"],
        "L": G["L"],
        "W1": P[0][0],
        "b1": P[0][1],
        "W2": P[1][0],
        "b2": P[1][1],
    }
    values = follow(Model((4, 5, 3)), named_here)
    for name, step in zip(
        HOMEWORK, "Z1 A1 Z2 A2 E dZ2 dW2 db2 dA1 dZ1 dW1 db1".split(), strict=True
    ):
        np.testing.assert_allclose(values[step], truth[name], rtol=1e-12)
    known = {f"({each.label})" for each in (*EQUATIONS, *ADDITIONS)}
    assert {row.equation for row in check_steps(S, P, BATCH, learning_rate=RATE).rows} <= known


@pytest.mark.parametrize("step", list(S))
def test_the_first_wrong_step_is_named_whatever_is_wrong(step: str) -> None:
    noise = np.random.default_rng(1).normal(size=np.shape(S[step]))
    wrong = np.asarray(S[step]) * (1 + 1e-3 * noise)
    report = check_steps(S | {step: wrong}, P, BATCH, learning_rate=RATE)
    first = report.first
    assert first is not None and (first.step, first.verdict) == (step, "wrong")
    assert first.got == wrong[first.worst_index] and "(" in first.equation
    assert [row.step for row in report.rows if row.verdict == "wrong"] == [step]


def onward(steps: Steps, given: Steps, name: str, value: np.ndarray) -> Steps:
    """Put a wrong value in, and compute what a student computes from it onward."""
    done = {**steps, name: value}
    order_ = "Z1 A1 Z2 A2 loss dZ2 dW2 db2 dA1 dZ1 dW1 db1 new_W1 new_b1 new_W2 new_b2".split()
    rules = {
        "Z1": lambda: given["X"] @ given["W1"] + given["b1"],
        "A1": lambda: sigmoid(done["Z1"]),
        "Z2": lambda: done["A1"] @ given["W2"] + given["b2"],
        "A2": lambda: np.exp(done["Z2"]) / np.exp(done["Z2"]).sum(1, keepdims=True),
        "loss": lambda: -(given["L"] * np.log(done["A2"])).sum() / N,
        "dZ2": lambda: (done["A2"] - given["L"]) / N,
        "dW2": lambda: done["A1"].T @ done["dZ2"],
        "db2": lambda: done["dZ2"].sum(0),
        "dA1": lambda: done["dZ2"] @ given["W2"].T,
        "dZ1": lambda: done["dA1"] * done["A1"] * (1 - done["A1"]),
        "dW1": lambda: given["X"].T @ done["dZ1"],
        "db1": lambda: done["dZ1"].sum(0),
        **{f"new_{p}": lambda p=p: given[p] - RATE * done[f"d{p}"] for p in ("W1", "b1", "W2", "b2")},
    }  # fmt: skip
    for each in order_[order_.index(name) + 1 :]:
        done[each] = rules[each]()
    return done


# step, its wrong value, the place, a part of what is said, named from the two weights' gradients too
MISTAKES: list[tuple[str, Callable[[Steps, Steps], np.ndarray], str, str, bool]] = [
    ("Z1", lambda s, g: s["Z1"] - 2 * g["b1"], "(1)", "subtracted", True),
    ("A1", lambda s, g: sigmoid(-s["Z1"]), "(2)", "without its minus", True),
    ("A1", lambda s, g: np.maximum(s["Z1"], 0), "(2)", "ReLU", True),
    ("Z2", lambda s, g: s["A1"] @ g["W2"], "(3)", "not added", True),
    ("A2", lambda s, g: np.exp(s["Z2"]) / np.exp(s["Z2"]).sum(0), "(4)", "axis 0", True),
    ("A2", lambda s, g: sigmoid(s["Z2"]), "(4)", "sigmoid", True),
    ("A2", lambda s, g: np.clip(s["A2"], 0.07, 0.8), "(4)", "clipped", False),
    ("loss", lambda s, g: s["loss"] / np.log(2), "(5N)", "base 2", False),
    ("dZ2", lambda s, g: g["L"] / N - s["A2"] / N, "(14N)", "L - Y", True),
    ("dZ2", lambda s, g: s["dZ2"] * s["A2"] * (1 - s["A2"]), "(14N)", "Y (1 - Y)", True),
    ("dW2", lambda s, g: s["Z1"].T @ s["dZ2"], "(16N)", "Z of the layer before", True),
    ("dW2", lambda s, g: s["dW2"] / N, "(16N)", "divided by N once more", True),
    ("db2", lambda s, g: s["dZ2"].mean(0), "(bk)", "averaged", False),
    ("dA1", lambda s, g: s["dZ2"][:, :1] @ g["W2"][:, :1].T, "(18N)", "first output", True),
    ("dA1", lambda s, g: s["dZ2"] @ (g["W2"] - RATE * s["dW2"]).T, "(18N)", "updated before", True),
    ("dZ1", lambda s, g: s["dA1"], "(19N)", "slope is missing", True),
    ("dZ1", lambda s, g: s["dA1"] * s["Z1"] * (1 - s["Z1"]), "(19N)", "Z (1 - Z)", True),
    ("dW1", lambda s, g: g["X"].T @ s["dA1"], "(21N)", "slope is missing", True),
    ("dW1", lambda s, g: np.outer(g["X"].sum(0), s["dZ1"].sum(0)), "(21N)", "sums", True),
    ("db1", lambda s, g: s["dA1"].sum(0), "(bh)", "slope is missing", False),
    ("new_W1", lambda s, g: g["W1"] + RATE * s["dW1"], "(U)", "descent subtracts", False),
    ("new_b2", lambda s, g: g["b2"], "(U)", "didn't move", False),
    ("new_W2", lambda s, g: g["W2"] - RATE * (s["dW2"] + 0.01 * g["W2"]), "(U)", "decay", False),
]


@pytest.mark.parametrize("index", range(len(MISTAKES)))
def test_a_mistake_is_named_where_it_was_made(index: int) -> None:
    step, wrong, place, said, from_two = MISTAKES[index]
    steps = onward(S, G, step, np.asarray(wrong(S, G)))
    first = check_steps(steps, P, BATCH, learning_rate=RATE).first
    assert first is not None and (first.step, first.place) == (step, place)
    assert said in " ".join(first.hint("what"))
    two = check_steps({n: steps[n] for n in DW}, P, BATCH, learning_rate=RATE).first
    if from_two:
        assert two is not None
        members = {(each.equation, each.what) for each in two.mistakes}
        assert any(said in what for _, what in members) or place in {p for p, _ in members}


def test_labels_off_by_one_are_no_mistake_of_the_loss() -> None:
    shifted = G | {"L": np.roll(G["L"], 1, axis=1)}
    report = check_steps(solve(shifted), P, BATCH, learning_rate=RATE)
    assert report.first is not None and report.first.place == "labels"
    assert {row.verdict for row in report.rows if row.step[:2] in ("dW", "dZ")} == {"follows"}


def test_a_transposed_square_gradient_is_told() -> None:
    batch = (SQUARE["X"], SQUARE["y"])
    report = check_steps({"dW1": Q["dW1"].T, "dW2": Q["dW2"]}, parameters(SQUARE), batch)
    assert report.first is not None and report.first.mistake == "transposed"


def test_mistakes_in_every_layer_of_a_deep_network_are_one() -> None:
    def slopeless(given: Steps) -> Steps:
        steps = solve(given)
        for k in (2, 1):
            steps[f"dZ{k}"] = steps[f"dZ{k + 1}"] @ given[f"W{k + 1}"].T
            steps[f"dW{k}"] = (steps[f"A{k - 1}"] if k > 1 else given["X"]).T @ steps[f"dZ{k}"]
        return {f"dW{k}": steps[f"dW{k}"] for k in (1, 2, 3)}

    first = check_steps(slopeless(DEEP), parameters(DEEP), (DEEP["X"], DEEP["y"])).first
    assert first is not None and first.mistakes[0].name == "the slope left out, in every layer"
    assert first.place == "(19N)"


def test_every_expression_of_the_catalogue_applies_somewhere() -> None:
    """One that never does, such as a misspelt one, would be silent for good."""
    points = []
    for sizes, examples in (((4, 5, 3), 6), ((3, 3, 3), 3), ((3, 3, 3, 3), 3)):
        given = draw(sizes, examples, seed=1)
        point = {"A0": given["X"], **{n: v for n, v in given.items() if n not in ("X", "y")}}
        model = Model(sizes, learning_rate=RATE, l2=0.1)
        points.append((model, point, follow(model, point)))
    unseen = [
        (kind, mistake.what)
        for kind, mistakes in catalogue().items()
        for mistake in mistakes
        if mistake.what.lower() != f"{mistake.name}.".lower()  # slips of the pen fit where they fit
        and not any(_applies(mistake, *each) for each in points)
    ]
    assert unseen == []


def _applies(mistake: Any, model: Model, point: Steps, values: Steps) -> bool:
    for step in order(model):
        if step.kind == mistake.kind:
            try:
                made = follow(model, point, None, {step.name: mistake.rule}, until=step.name)
            except (NameError, LookupError, ValueError, TypeError):
                continue
            if np.shape(made[step.name]) == np.shape(values[step.name]):
                return True
    return False


def test_hints_come_at_three_levels_and_numbers_at_the_last() -> None:
    steps = onward(S, G, "dZ1", S["dA1"] * S["Z1"] * (1 - S["Z1"]))
    where, what, how = (
        check_steps(steps, P, BATCH, learning_rate=RATE, hints=level)
        for level in ("where", "what", "how")
    )
    assert "(19N)" in str(where) and "Z (1 - Z)" not in str(where) and "#" not in str(where)
    assert "You multiplied by Z (1 - Z)" in str(what) and "expected" not in str(what)
    assert "expected" in str(how) and "O (1 - O), where O is what the sigmoid gave" in str(how)
    digits = f"{how.first.expected:.3f}" if how.first and how.first.expected else ""
    assert digits not in how.text("how", numbers=False) and digits not in what._repr_html_()
    page = how._repr_html_()
    assert page.count("<rect") == S["dZ1"].size and "aria-label" in page and "follows" in page


@pytest.mark.parametrize("scale", [1.0, 12.0, 60.0, 120.0])
def test_float32_passes_also_where_the_network_is_sure_and_right(scale: float) -> None:
    """There Y - L loses its digits, as anybody's does in float32; in float64 nothing is let pass."""
    sure = G | {"W2": scale * G["W2"]}
    with np.errstate(divide="ignore"):  # the labels to come are other ones
        y = solve(sure)["Z2"].argmax(1)
    sure |= {"y": y, "L": np.eye(K)[y]}
    single = {name: np.asarray(value, np.float32) for name, value in sure.items()}
    report = check_steps(solve(single), parameters(sure), (sure["X"], y), learning_rate=RATE)
    assert report.passed, report.text()
    right = solve(sure)
    for wrong in (-1, 0, 1.01, N):
        steps = {
            "d_logits": wrong * right["dZ2"],
            "dW2": wrong * right["dW2"],
            "loss": right["loss"],
        }
        assert not check_steps(steps, parameters(sure), (sure["X"], y)).passed, (scale, wrong)


@pytest.mark.parametrize(
    ("steps", "params", "batch", "message"),
    [
        ({"d_lgits": 0}, P, BATCH, "Did you mean 'd_logits'"),
        ({}, P, BATCH, "got none"),
        ({"d_logits": "abc"}, P, BATCH, "expected an array of numbers"),
        ({"loss": 1j}, P, BATCH, "complex"),
        ({"new_hidden_biases": np.ones(5)}, P, BATCH, "Give learning_rate"),
        (DW, P, (G["X"], G["y"] + 2), "expected 0 to 2, or 1 to 3"),
        (DW, P, (G["X"], G["y"] / 2), "expected whole numbers"),
        (DW, P, (G["X"] * np.nan, G["y"]), "expected finite numbers"),
        (DW, P + P, BATCH, "network: got inputs"),
        (DW, 5, BATCH, "parameters: got"),
        (DW, P, G["X"], "batch: got"),
    ],
)  # fmt: skip
def test_what_can_not_be_checked(steps, params, batch, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_steps(steps, params, batch)


def test_a_shape_that_fits_nothing_is_a_wrong_step() -> None:
    report = check_steps({"logits": S["Z2"][:, :2]}, P, BATCH)
    assert report.first is not None and "[6, 2], where [6, 3] belongs" in str(report)
