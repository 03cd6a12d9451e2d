"""One tiny network worked through with numbers: forward, backward, update, a line an element."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

import numpy as np

from jax_backprop.derivation.batch import PARAMETERS, PER_EXAMPLE, batch_quantities, update
from jax_backprop.errors import InputError

LARGEST = 4  # units a layer: beyond that nobody reads every number
NUMBER = re.compile(r"<<([\w.]+)>>|<([\w.]+)>")
Numbers: TypeAlias = dict[str, np.ndarray]


class Line(NamedTuple):
    """One line of the example.

    Args:
      part: of the example.
      label: its equation's.
      unit: of the network, such as ``hidden-1``; empty for the whole.
      template: LaTeX in which ``<name.0.1>`` stands for a number, and ``<<name.0.1>>`` for a
        factor: in parentheses where it is negative.
      latex: the same with the numbers put in.
    """

    part: str
    label: str
    unit: str
    template: str
    latex: str = ""


class Worked(NamedTuple):
    """A worked example.

    Args:
      setting: in a sentence.
      lines: in the order of the computation.
      values: every number by its name; an element is at ``name.row.column``.
    """

    setting: str
    lines: tuple[Line, ...]
    values: Numbers


def work_through(
    layer_sizes: tuple[int, ...] = (2, 2, 2), learning_rate: float = 0.5, seed: int = 0
) -> Worked:
    """Return one example's way through a network of d, H and K units, and one update.

    Raises:
      InputError: the sizes aren't three of 1 to 4 (2 and more classes), or the rate is no number.
    """
    sizes = _checked(layer_sizes)
    values = example(_point(sizes, seed), learning_rate)
    label = int(np.argmax(values["labels"])) + 1
    inputs = ", ".join(f"i_{n} = {_text(i)}" for n, i in enumerate(values["inputs"], 1))
    setting = (
        f"${inputs}$, the label is class {label}, the learning rate $\\eta = {learning_rate:g}$"
    )
    lines = (*_forward(sizes), *_backward(sizes), *_update(sizes))
    filled = (line._replace(latex=fill(line.template, values)) for line in lines)
    return Worked(setting, tuple(filled), values)


def example(point: Numbers, learning_rate: float) -> Numbers:
    """Return every number of one example's way through a network, and of the update.

    Args:
      point: inputs, the label as a one-hot vector, and the parameters.
      learning_rate: of the update.

    Raises:
      InputError: the rate is no number from 0 on.
    """
    if not 0 <= learning_rate < float("inf"):
        raise InputError(
            "learning rate", got=learning_rate, expected="a number from 0 on", remedy="Try 0.5."
        )
    rows = point | {name: point[name][None] for name in ("inputs", "labels")}
    gradient = batch_quantities(rows)
    rows |= {f"step_{name}": gradient[f"d_{name}"] for name in PARAMETERS}
    found = batch_quantities(rows | {"learning_rate": np.float64(learning_rate)})
    values = {name: np.asarray(value) for name, value in found.items()}
    of_rows = (*PER_EXAMPLE, "d_logits", "d_hidden", "d_pre_activations")
    values |= {name: values[name][0] for name in of_rows}
    square = sum(np.sum(values[f"d_{name}"] ** 2) for name in PARAMETERS)
    rate, loss = values["learning_rate"], values["loss"]
    values |= {f"new_{n}": update(values[n], values[f"d_{n}"], rate) for n in PARAMETERS}
    return values | {
        "minus_pre_activations": -values["pre_activations"],
        "shifted_logits": values["logits"] - max(values["logits"]),
        "label_output": np.asarray(values["outputs"] @ values["labels"]),
        "gradient_square": np.asarray(square),
        "first_order_loss": np.asarray(loss - rate * square),
    }


def fill(
    template: str, values: Numbers, show: Callable[[str, str, bool], str] | None = None
) -> str:
    """Put the numbers into a line's template: ``show`` may change each.

    It is called with a number's name, its text, and whether it is a factor.
    """

    def put(found: re.Match[str]) -> str:
        factor, plain = found.groups()
        name, *index = (factor or plain).split(".")
        text = _text(values[name][tuple(map(int, index))])
        text = f"({text})" if factor and text.startswith("-") else text
        return show(factor or plain, text, bool(factor)) if show else text

    return NUMBER.sub(put, template)


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


def _point(sizes: tuple[int, int, int], seed: int) -> Numbers:
    inputs, _, classes = sizes
    draw = np.random.default_rng(seed).normal
    point = {name: np.round(draw(size=shape), 2) for name, shape in _shapes(sizes).items()}
    return point | {"inputs": np.round(draw(size=inputs), 2), "labels": np.eye(classes)[0]}


def _shapes(sizes: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    inputs, hidden, classes = sizes
    shapes = ((inputs, hidden), (hidden,), (hidden, classes), (classes,))
    return dict(zip(PARAMETERS, shapes, strict=True))


def _forward(sizes: tuple[int, int, int]) -> list[Line]:
    inputs, hidden, classes = sizes
    part, layer = "forward, hidden layer", "hidden"
    lines = [
        _dense(part, "1", layer, unit, "inputs", "pre_activations", inputs)
        for unit in range(hidden)
    ]
    for h in range(hidden):
        fraction = rf"\frac{{1}}{{1 + e^{{<minus_pre_activations.{h}>}}}}"
        lines.append(Line(part, "2", f"hidden-{h}", f"O_{h + 1} = {fraction} = <hidden.{h}>"))
    part, layer = "forward, output layer", "output"
    lines += [_dense(part, "3", layer, unit, "hidden", "logits", hidden) for unit in range(classes)]
    powers = " + ".join(f"e^{{<shifted_logits.{k}>}}" for k in range(classes))
    for k in range(classes):
        fraction = rf"\frac{{e^{{<shifted_logits.{k}>}}}}{{{powers}}}"
        lines.append(Line(part, "4", f"output-{k}", f"Y_{k + 1} = {fraction} = <outputs.{k}>"))
    return [*lines, Line(part, "5", "loss", r"E = -\log(<label_output>) = <loss>")]


def _dense(part: str, label: str, layer: str, unit: int, of: str, to: str, fan_in: int) -> Line:
    factors = ((f"{of}.{n}", f"{layer}_weights.{n}.{unit}") for n in range(fan_in))
    terms = f"{_products(factors)} + <<{layer}_biases.{unit}>>"
    return Line(part, label, f"{layer}-{unit}", f"Z_{unit + 1} = {terms} = <{to}.{unit}>")


def _backward(sizes: tuple[int, int, int]) -> list[Line]:
    inputs, hidden, classes = sizes
    part = "backward, output layer"
    lines = [
        Line(
            part,
            "14",
            f"output-{k}",
            rf"{_partial(f'Z_{k + 1}')} = <outputs.{k}> - <labels.{k}> = <d_logits.{k}>",
        )
        for k in range(classes)
    ]
    lines += _gradients(part, "16", "output", "hidden", "d_logits", (hidden, classes))
    lines += _biases(part, "bk", "output", classes)
    part = "backward, hidden layer"
    for h in range(hidden):
        terms = _products((f"d_logits.{k}", f"output_weights.{h}.{k}") for k in range(classes))
        side = f"{_partial(f'O_{h + 1}')} = {terms} = <d_hidden.{h}>"
        lines.append(Line(part, "18", f"hidden-{h}", side))
    for h in range(hidden):
        slope = rf"<<d_hidden.{h}>> \cdot <hidden.{h}> \cdot (1 - <hidden.{h}>)"
        side = f"{_partial(f'Z_{h + 1}')} = {slope} = <d_pre_activations.{h}>"
        lines.append(Line(part, "19", f"hidden-{h}", side))
    lines += _gradients(part, "21", "hidden", "inputs", "d_pre_activations", (inputs, hidden))
    return lines + _biases(part, "bh", "hidden", hidden)


def _gradients(
    part: str, label: str, layer: str, before: str, after: str, shape: tuple[int, int]
) -> list[Line]:
    return [
        Line(
            part,
            label,
            f"{layer}-{column}",
            rf"{_partial(f'w_{{{row + 1}{column + 1}}}')} = <<{after}.{column}>> \cdot "
            rf"<<{before}.{row}>> = <d_{layer}_weights.{row}.{column}>",
        )
        for row, column in np.ndindex(shape)
    ]


def _biases(part: str, label: str, layer: str, units: int) -> list[Line]:
    return [
        Line(
            part,
            label,
            f"{layer}-{unit}",
            f"{_partial(f'b_{unit + 1}')} = {_partial(f'Z_{unit + 1}')} = "
            f"<d_{layer}_biases.{unit}>",
        )
        for unit in range(units)
    ]


def _update(sizes: tuple[int, int, int]) -> list[Line]:
    lines = []
    for name, shape in _shapes(sizes).items():
        layer = name.split("_")[0]
        letter = "w" if name.endswith("weights") else "b"
        for index in np.ndindex(shape):
            subscript = "".join(str(each + 1) for each in index)
            at = ".".join(map(str, (name, *index)))
            change = rf"<{at}> - <learning_rate> \cdot <<d_{at}>> = <new_{at}>"
            side = rf"{letter}_{{{subscript}}} \leftarrow {change}"
            lines.append(Line(f"update, {layer} layer", "U", f"{layer}-{index[-1]}", side))
    part = "the loss after the update"
    expected = r"E \approx <loss> - <learning_rate> \cdot <gradient_square> = <first_order_loss>"
    return [
        *lines,
        Line(part, "5", "loss", "E = <updated_loss>"),
        Line(part, "U", "loss", expected),
    ]


def _products(factors: Iterable[tuple[str, str]]) -> str:
    return " + ".join(rf"<<{a}>> \cdot <<{b}>>" for a, b in factors)


def _partial(by: str) -> str:
    return rf"\frac{{\partial E}}{{\partial {by}}}"


def _text(value: np.ndarray | np.floating) -> str:
    return f"{float(value) + 0.0:.4g}"
