"""The network of a worked example as SVG: each line of a node is an equation with its number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from jax_backprop.derivation import Worked

LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
ROW, PAD, GAP = 20.0, 7.0, 14.0  # of a node's lines, around them, between nodes
LEFTS, WIDTHS, WIDTH = (2.0, 172.0, 422.0, 652.0), (116.0, 200.0, 178.0, 186.0), 840
TOP = 26  # of the columns' names


class Row(NamedTuple):
    """A line of a node: its equation, what it says before the number, the number, its part."""

    label: str
    text: str
    number: str
    stage: int


def network_svg(worked: Worked) -> Markup:
    """Return the drawing; numbers carry their names, by which a script keeps them up to date."""
    sizes = (*worked.values["hidden_weights"].shape, len(worked.values["outputs"]))
    columns = [_columns(sizes, layer) for layer in range(4)]
    tallest = max(sum(_height(rows) + GAP for _, rows in nodes) for nodes in columns)
    middles = [_middles(nodes, tallest) for nodes in columns]
    edges = [
        _edge(layer, (n, h), middles[layer][n], middles[layer + 1][h])
        for layer, (fan_in, fan_out) in enumerate(zip(sizes, (*sizes[1:], 1), strict=True))
        for n in range(fan_in)
        for h in range(fan_out)
    ]
    nodes = [
        _node(LEFTS[layer], WIDTHS[layer], middle - _height(rows) / 2, unit, rows, worked)
        for layer in range(4)
        for (unit, rows), middle in zip(columns[layer], middles[layer], strict=True)
    ]
    names = ("inputs", "hidden units", "outputs", "loss")
    heads = (
        f'<text class="head" x="{left + width / 2:g}" y="14">{name}</text>'
        for name, left, width in zip(names, LEFTS, WIDTHS, strict=True)
    )
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {tallest + TOP:g}" role="group" aria-label="The network, '
        f'forward and backward">{"".join([*heads, *edges, *nodes])}</svg>'
    )


def _columns(sizes: tuple[int, ...], layer: int) -> list[tuple[str, list[Row]]]:
    """Return the nodes of a column: the unit's name and its rows."""
    inputs, hidden, classes = sizes
    if layer == 0:
        return [("", [Row("1", f"i{_low(n)} =", f"inputs.{n}", 0)]) for n in range(inputs)]
    if layer == 1:
        return [(f"hidden-{h}", list(_hidden_rows(h))) for h in range(hidden)]
    if layer == 2:
        return [(f"output-{k}", list(_output_rows(k))) for k in range(classes)]
    after = Row("U", "after: E =", "updated_loss", 6)
    return [("loss", [Row("5", "E =", "loss", 1), after])]


def _hidden_rows(h: int) -> Iterator[Row]:
    yield Row("1", f"Z{_low(h)} =", f"pre_activations.{h}", 0)
    yield Row("2", f"O{_low(h)} =", f"hidden.{h}", 0)
    yield Row("18", f"∂E/∂O{_low(h)} =", f"d_hidden.{h}", 3)
    yield Row("19", f"∂E/∂Z{_low(h)} =", f"d_pre_activations.{h}", 3)


def _output_rows(k: int) -> Iterator[Row]:
    yield Row("3", f"Z{_low(k)} =", f"logits.{k}", 1)
    yield Row("4", f"Y{_low(k)} =", f"outputs.{k}", 1)
    yield Row("14", f"∂E/∂Z{_low(k)} =", f"d_logits.{k}", 2)


def _node(left: float, width: float, top: float, unit: str, rows: list[Row], worked: Worked) -> str:
    box = f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{_height(rows):g}" rx="8"/>'
    lines = []
    for place, row in enumerate(rows):
        y = top + PAD + ROW * place + 14
        name, *index = row.number.split(".")
        value = worked.values[name][tuple(map(int, index))]
        kind = "back" if row.stage in (2, 3) else "forth"
        lines.append(
            f'<a href="#eq{row.label}" class="{kind}" data-unit="{unit}" data-label="{row.label}" '
            f'data-stage="{row.stage}"><title>equation ({row.label}): its numbers and code</title>'
            f'<text x="{left + 8:g}" y="{y:g}">{row.text} <tspan data-number="{row.number}">'
            f'{float(value):.4g}</tspan></text><text class="label" x="{left + width - 6:g}" '
            f'y="{y:g}">({row.label})</text></a>'
        )
    return box + "".join(lines)


def _edge(layer: int, at: tuple[int, int], start: float, end: float) -> str:
    """Return a line that carries numbers: forward in one part, back in another."""
    name = ("hidden_weights", "output_weights", "")[layer]
    stages = ("0 3 4", "1 2 5", "1 2 6")[layer]
    weight = f' data-weight="{name}.{at[0]}.{at[1]}"' if name else ""
    left, right = LEFTS[layer] + WIDTHS[layer], LEFTS[layer + 1]
    bend = (right - left) / 2
    curve = (
        f"M{left:g} {start:g} C{left + bend:g} {start:g} {right - bend:g} {end:g} {right:g} {end:g}"
    )
    return f'<path d="{curve}" data-stages="{stages}"{weight}/>'


def _middles(nodes: list[tuple[str, list[Row]]], tallest: float) -> list[float]:
    taken = sum(_height(rows) + GAP for _, rows in nodes)
    top, found = TOP + (tallest - taken) / 2, []
    for _, rows in nodes:
        found.append(top + _height(rows) / 2)
        top += _height(rows) + GAP
    return found


def _height(rows: list[Row]) -> float:
    return ROW * len(rows) + 2 * PAD


def _low(index: int) -> str:
    return str(index + 1).translate(LOW)
