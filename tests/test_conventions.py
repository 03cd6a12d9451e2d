"""A student's own steps: every usual convention passes."""

# ruff: noqa: E501, SIM905 - a convention a line

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from students import (
    BATCH,
    DEEP,
    DW,
    HOMEWORK,
    RATE,
    SQUARE,
    G,
    N,
    P,
    Q,
    S,
    Steps,
    draw,
    named,
    parameters,
    solve,
)

from jax_backprop import Batch, InputError, Layer, Network, check_steps
from jax_backprop.marking.names import parse

GRADS = [S[name] for name in ("dW1", "db1", "dW2", "db2")]
SUMS = {
    name: value * N if name[:2] in ("dZ", "dA", "dW", "db") else value for name, value in S.items()
}
LATE = SUMS | {name: S[name] for name in S if name[:2] in ("dW", "db")}
THETA = tuple(np.c_[b, W.T] for W, b in P)  # (H, d + 1), the course with the bias column first
THETA_GRADS = [np.c_[S[f"db{n}"], S[f"dW{n}"].T] for n in (1, 2)]
ONES = np.c_[np.ones(N), G["X"]]
OLD = {  # inputs are layer 1
    "z2": S["Z1"], "a2": S["A1"], "z3": S["Z2"], "a3": S["A2"], "delta3": SUMS["dZ2"],
    "delta2": SUMS["dZ1"], "Theta1_grad": THETA_GRADS[0], "Theta2_grad": THETA_GRADS[1],
}  # fmt: skip
B0 = {name: value * 0 if name[0] == "b" else value for name, value in G.items()}
NO_BIAS = {name: value for name, value in solve(B0).items() if "b" not in name}
L2 = solve(G, l2=0.3)
ALIKE = draw((4, 4, 3), 4, seed=11)
ALIKE_STEPS = solve(ALIKE)
COURSE = solve(G, loss="sigmoids", l2=0.3 / N)


def only(*names: str, of: Steps = S) -> Steps:
    return {name: of[name] for name in names}


def turned(steps: Steps) -> Steps:
    return {name: np.asarray(value).T for name, value in steps.items()}


def columns(steps: Steps) -> Steps:
    return {n: v[:, None] if "b" in n else np.asarray(v).T for n, v in steps.items()}


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
    "dL_dW1": ({"dL_dW1": S["dW1"], "dJ_db1": S["db1"], "dE_dZ2": S["dZ2"], "dldw2": S["dW2"]}, P, BATCH, {}, ""),
    "in Greek": ({"∂W1": S["dW1"], "δ2": S["dZ2"], "∇b1": S["db1"]}, P, BATCH, {}, ""),
    "sums over the examples by a capital": ({"Delta1": SUMS["dW1"], "Delta2": SUMS["dW2"]}, P, BATCH, {}, "SUM"),
    "dtheta": ({"dtheta": vector(*GRADS)}, P, BATCH, {}, "unrolled"),
    "layers by their place": ({"dW_hidden": S["dW1"], "w_out_grad": S["dW2"], "net_h": S["Z1"], "out_h": S["A1"], "hidden_delta": S["dZ1"]}, P, BATCH, {}, ""),
    "layers by their indices": ({"dw_ij": S["dW1"], "dw_jk": S["dW2"]}, P, BATCH, {}, ""),
    "errors before the slope": ({"hidden_error": S["dA1"], "hidden_delta": S["dZ1"], "output_delta": S["dZ2"]}, P, BATCH, {}, ""),
    "an error that is a delta": ({"hidden_error": S["dZ1"]}, P, BATCH, {}, ""),
    "an error that the slope multiplies": ({"hidden_error": S["dA1"]}, P, BATCH, {}, ""),
    "l1, l2_delta": ({"l1": S["A1"], "l2_delta": S["dZ2"]}, P, BATCH, {}, ""),
    "AL": ({"AL": S["A2"], "dAL": None, "dZL": S["dZ2"]}, P, BATCH, {}, "'dAL' is None"),
    "lists, from the top's biases": (([S["db1"][:, None], S["db2"][:, None]], [S["dW1"].T, S["dW2"].T]), {"weights": [w.T for w, _ in P], "biases": [b[:, None] for _, b in P]}, BATCH, {}, ""),
    "zs and activations with the inputs": ({"zs": [S["Z1"], S["Z2"]], "activations": [G["X"], S["A1"], S["A2"]], "deltas": [None, S["dZ1"], S["dZ2"]]}, P, BATCH, {}, ""),
    "modules": ({"fc1.weight.grad": S["dW1"].T, "fc2.bias.grad": S["db2"]}, {f"fc{n}.{k}": v for n, (w, b) in enumerate(P, 1) for k, v in (("weight", w.T), ("bias", b))}, BATCH, {}, ""),
    "modules with gaps": ({"layers.0.weight.grad": S["dW1"].T, "layers.2.weight.grad": S["dW2"].T}, {f"layers.{2 * n}.{k}": v for n, (w, b) in enumerate(P) for k, v in (("weight", w.T), ("bias", b))}, BATCH, {}, "numbered 0, 2"),
    "tables within tables": ({"layer1": {"dW": S["dW1"]}, "layer2": {"dW": S["dW2"], "db": S["db2"]}}, {"Dense_0": {"kernel": P[0][0], "bias": P[0][1]}, "Dense_1": {"kernel": P[1][0], "bias": P[1][1]}}, BATCH, {}, ""),
    "tables by numbers": ({"dW": {1: S["dW1"], 2: S["dW2"]}, 2: {"db": S["db2"]}}, P, BATCH, {}, ""),
    "coefs and intercepts": ({"coef_grads": [S["dW1"], S["dW2"]], "intercept_grads": [S["db1"], S["db2"]]}, {"coefs_": [w for w, _ in P], "intercepts_": [b for _, b in P]}, BATCH, {}, ""),
    "loss and a table in any order": ((S["loss"], {"W2": S["dW2"], "b2": S["db2"], "W1": S["dW1"], "b1": S["db1"]}), P, BATCH, {}, ""),
    "a record": (SimpleNamespace(dW1=S["dW1"], dW2=S["dW2"]), P, BATCH, {}, ""),
    "an array of arrays": (np.array([S["dW1"], S["dW2"]], dtype=object), P, BATCH, {}, "by their shapes"),
    "X_train": (S, P, {"X_train": G["X"], "y_train": G["y"]}, {}, ""),
    "categories and dummies": (S, P, (pd.DataFrame(G["X"]), pd.get_dummies(pd.Series(G["y"]))), {}, "one-hot"),
    "inputs, weights and examples alike": (turned(ALIKE_STEPS), tuple((w.T, b) for w, b in parameters(ALIKE)), (ALIKE["X"].T, ALIKE["y"]), {}, "columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_a_right_solution_passes_in_any_convention(name: str) -> None:
    steps, params, batch, options, assumed = VARIANTS[name]
    report = check_steps(steps, params, batch, learning_rate=RATE, **options)
    assert report.passed, report.text()
    assert report.rows and assumed in "; ".join(report.assumed), report.text()


@pytest.mark.parametrize("name", "accuracy time lr N X inputs iterations eps dl wild gamma".split())
def test_a_name_of_something_else_is_no_step(name: str) -> None:
    assert parse(name) is None


def test_one_example_may_be_a_column() -> None:
    one = G | {"X": G["X"][:1], "L": G["L"][:1]}
    steps = {n: v.T if np.ndim(v) == 2 else v for n, v in solve(one).items()}
    turned_ = [(w.T, b[:, None]) for w, b in P]
    report = check_steps(steps, turned_, (one["X"].T, one["L"].T), learning_rate=RATE)
    assert report.passed and len(report.rows) == len(S)


def test_one_example_needs_no_batch_axis() -> None:
    one = G | {"X": G["X"][:1], "L": G["L"][:1]}
    steps = {n: v[0] if np.ndim(v) == 2 and len(v) == 1 else v for n, v in solve(one).items()}
    report = check_steps(steps, P, (G["X"][0], G["y"][0]), learning_rate=RATE)
    assert report.passed and {"(14)", "(16)", "(5)"} <= {row.equation for row in report.rows}
    wrong = check_steps(
        steps | {"dA1": -steps["dA1"]}, P, (G["X"][0], G["y"][0]), learning_rate=RATE
    )
    assert wrong.first is not None and (wrong.first.step, wrong.first.equation) == ("dA1", "(18)")


def test_a_sum_of_losses_beside_a_penalty_over_n_is_no_convention() -> None:
    """Whoever forgets the 1/N of the data alone has made a mistake."""
    steps = {f"dW{n}": N * S[f"dW{n}"] + 1.5 / N * G[f"W{n}"] for n in (1, 2)}
    report = check_steps(steps, P, BATCH, l2=1.5)
    assert not report.passed and not any("SUM" in each for each in report.assumed)


@pytest.mark.parametrize("outputs", [1, 2])
def test_targets_of_a_squared_error_are_any_numbers(outputs: int) -> None:
    given = draw((4, 5, outputs))
    targets = np.random.default_rng(3).normal(size=(N, outputs))
    steps = solve(given | {"L": targets}, loss="squared")
    for handed in (targets, targets.T, *([targets[:, 0]] if outputs == 1 else [])):
        report = check_steps(
            *(steps, parameters(given), (given["X"], handed)),
            **{"loss": "squared_error", "learning_rate": RATE},
        )
        said = ("targets in columns",) if outputs == 2 and handed is not targets else ()
        assert report.passed and report.assumed == said, report.text()


def test_parameters_of_unknown_names_are_not_dropped_in_silence() -> None:
    """Of W, b, V and c a network without its second layer might be judged."""
    named_ = dict(zip(("W", "b", "V", "c"), (a for pair in P for a in pair), strict=True))
    labels = np.arange(N) % 5  # as many classes as there are hidden units
    report = check_steps({"Z1": S["Z1"]}, named_, (G["X"], labels))
    assert "parameters left out, their names unknown: V, c" in report.assumed
    with pytest.raises(InputError, match="'V' of an unknown name"):
        check_steps(DW, named_, (G["X"][:, :3], labels))
    with_options = dict(zip(("W1", "b1", "W2", "b2"), named_.values(), strict=True)) | {"lr": 0.1}
    assert check_steps(DW, with_options, BATCH).assumed == ()
