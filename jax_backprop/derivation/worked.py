"""One tiny network worked through with numbers: forward, backward, update, a line an element."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jax_backprop.derivation.batch import PARAMETERS, batch_quantities, update
from jax_backprop.errors import InputError

LARGEST = 4  # units a layer: beyond that nobody reads every number


class Line(NamedTuple):
    """One line: its part of the example, its equation's label, LaTeX with the numbers put in."""

    part: str
    label: str
    latex: str


class Worked(NamedTuple):
    """A worked example: the setting in a sentence, its lines, and every quantity by its name."""

    setting: str
    lines: tuple[Line, ...]
    values: dict[str, Any]


def work_through(
    layer_sizes: tuple[int, ...] = (2, 2, 2), learning_rate: float = 0.5, seed: int = 0
) -> Worked:
    """Return one example's way through a network of d, H and K units, and one update.

    Raises:
      InputError: the sizes aren't three of 1 to 4 (2 and more classes), or the rate is no number.
    """
    values = _values(_checked(layer_sizes), learning_rate, seed)
    label = int(np.argmax(values["labels"][0])) + 1
    inputs = ", ".join(f"i_{n} = {_number(i)}" for n, i in enumerate(values["inputs"][0], 1))
    setting = (
        f"${inputs}$, the label is class {label}, the learning rate $\\eta = {learning_rate:g}$"
    )
    lines = (*_forward(values), *_backward(values), *_update(values))
    return Worked(setting, lines, values)


def _checked(sizes: tuple[int, ...]) -> tuple[int, int, int]:
    if len(sizes) != 3 or not all(1 <= size <= LARGEST for size in sizes) or sizes[2] < 2:
        raise InputError(
            "layer sizes of a worked example",
            got=",".join(map(str, sizes)),
            expected=f"inputs, hidden units and classes: three numbers from 1 to {LARGEST}, of "
            "classes 2 or more",
            remedy="Try 2,2,2.",
        )
    return sizes[0], sizes[1], sizes[2]


def _values(sizes: tuple[int, int, int], learning_rate: float, seed: int) -> dict[str, Any]:
    if not 0 <= learning_rate < float("inf"):
        raise InputError(
            "learning rate", got=learning_rate, expected="a number from 0 on", remedy="Try 0.5."
        )
    inputs, hidden, classes = sizes
    draw = np.random.default_rng(seed).normal
    shapes = ((inputs, hidden), (hidden,), (hidden, classes), (classes,))
    named = zip(PARAMETERS, shapes, strict=True)
    point: dict[str, Any] = {name: np.round(draw(size=shape), 2) for name, shape in named}
    point["inputs"] = np.round(draw(size=(1, inputs)), 2)
    point["labels"] = np.eye(classes)[:1]
    gradient = batch_quantities(point)
    point |= {f"step_{name}": gradient[f"d_{name}"] for name in PARAMETERS}
    point["learning_rate"] = np.float64(learning_rate)
    return batch_quantities(point)


def _forward(values: dict[str, Any]) -> list[Line]:
    part = "forward, hidden layer"
    lines = _dense(
        part, "1", values, "inputs", "hidden_weights", "hidden_biases", "pre_activations"
    )
    for h, (z, o) in enumerate(
        zip(values["pre_activations"][0], values["hidden"][0], strict=True), 1
    ):
        fraction = rf"\frac{{1}}{{1 + e^{{{_number(-z)}}}}}"
        lines.append(Line(part, "2", f"O_{h} = {fraction} = {_number(o)}"))
    part = "forward, output layer"
    lines += _dense(part, "3", values, "hidden", "output_weights", "output_biases", "logits")
    logits = values["logits"][0]
    powers = " + ".join(f"e^{{{_number(z - max(logits))}}}" for z in logits)
    for k, (z, y) in enumerate(zip(logits, values["outputs"][0], strict=True), 1):
        fraction = rf"\frac{{e^{{{_number(z - max(logits))}}}}}{{{powers}}}"
        lines.append(Line(part, "4", f"Y_{k} = {fraction} = {_number(y)}"))
    label = int(np.argmax(values["labels"][0]))
    given, loss = values["outputs"][0][label], values["loss"]
    lines.append(Line(part, "5", rf"E = -\log({_number(given)}) = {_number(loss)}"))
    return lines


def _dense(
    part: str, label: str, values: dict[str, Any], of: str, weights: str, biases: str, to: str
) -> list[Line]:
    lines = []
    for unit, z in enumerate(values[to][0]):
        column = values[weights][:, unit]
        terms = _products(values[of][0], column) + f" + {_factor(values[biases][unit])}"
        lines.append(Line(part, label, f"Z_{unit + 1} = {terms} = {_number(z)}"))
    return lines


def _backward(values: dict[str, Any]) -> list[Line]:
    part = "backward, output layer"
    outputs, labels, d_logits = (values[n][0] for n in ("outputs", "labels", "d_logits"))
    lines = [
        Line(part, "14", rf"{_partial(f'Z_{k + 1}')} = {_number(y)} - {one:.0f} = {_number(d)}")
        for k, (y, one, d) in enumerate(zip(outputs, labels, d_logits, strict=True))
    ]
    lines += _gradients(part, "16", values["hidden"][0], d_logits, values["d_output_weights"])
    lines += _biases(part, "bk", values["d_output_biases"])
    part = "backward, hidden layer"
    for h, d in enumerate(values["d_hidden"][0]):
        terms = _products(d_logits, values["output_weights"][h])
        lines.append(Line(part, "18", f"{_partial(f'O_{h + 1}')} = {terms} = {_number(d)}"))
    d_pre_activations = values["d_pre_activations"][0]
    for h, d in enumerate(d_pre_activations):
        d_hidden, o = values["d_hidden"][0][h], values["hidden"][0][h]
        slope = rf"{_factor(d_hidden)} \cdot {_number(o)} \cdot (1 - {_number(o)})"
        lines.append(Line(part, "19", f"{_partial(f'Z_{h + 1}')} = {slope} = {_number(d)}"))
    lines += _gradients(
        part, "21", values["inputs"][0], d_pre_activations, values["d_hidden_weights"]
    )
    return lines + _biases(part, "bh", values["d_hidden_biases"])


def _gradients(part: str, label: str, before: Any, after: Any, grads: Any) -> list[Line]:
    return [
        Line(
            part,
            label,
            rf"{_partial(f'w_{{{row + 1}{column + 1}}}')} = {_factor(after[column])} \cdot "
            rf"{_factor(before[row])} = {_number(grads[row, column])}",
        )
        for row, column in np.ndindex(grads.shape)
    ]


def _biases(part: str, label: str, grads: Any) -> list[Line]:
    return [
        Line(
            part,
            label,
            rf"{_partial(f'b_{unit + 1}')} = {_partial(f'Z_{unit + 1}')} = {_number(d)}",
        )
        for unit, d in enumerate(grads)
    ]


def _update(values: dict[str, Any]) -> list[Line]:
    lines, rate = [], values["learning_rate"]
    for name in PARAMETERS:
        part = f"update, {name.split('_')[0]} layer"
        letter = "w" if name.endswith("weights") else "b"
        for index in np.ndindex(values[name].shape):
            old, grad = values[name][index], values[f"d_{name}"][index]
            subscript = "".join(str(each + 1) for each in index)
            change = rf"{_number(old)} - {_number(rate)} \cdot {_factor(grad)}"
            new = _number(update(old, grad, rate))
            lines.append(Line(part, "U", rf"{letter}_{{{subscript}}} \leftarrow {change} = {new}"))
    square = float(sum(np.sum(values[f"d_{name}"] ** 2) for name in PARAMETERS))
    before, after = float(values["loss"]), float(values["updated_loss"])
    part = "the loss after the update"
    lines.append(Line(part, "5", f"E = {_number(after)}"))
    expected = rf"{_number(before)} - {_number(rate)} \cdot {_number(square)}"
    lines.append(Line(part, "U", rf"E \approx {expected} = {_number(before - rate * square)}"))
    return lines


def _products(first: Any, second: Any) -> str:
    return " + ".join(
        rf"{_factor(a)} \cdot {_factor(b)}" for a, b in zip(first, second, strict=True)
    )


def _partial(by: str) -> str:
    return rf"\frac{{\partial E}}{{\partial {by}}}"


def _number(value: Any) -> str:
    return f"{float(value) + 0.0:.4g}"


def _factor(value: Any) -> str:
    text = _number(value)
    return f"({text})" if text.startswith("-") else text
