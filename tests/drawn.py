"""What a chart shows, read from its Vega-Lite specification: marks, fields, titles, colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Drawn(NamedTuple):
    """One mark: its type, its encoding, its rows, and the title of its panel."""

    mark: str
    encoding: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]]
    title: str
    mark_text: str = ""  # of a text mark that says the same of each row

    def fields(self, *channels: str) -> dict[str, tuple[str, str | None]]:
        """Return field and title of each channel that is asked for."""
        of = {name: self.encoding[name] for name in channels}
        return {name: (given["field"], given.get("title")) for name, given in of.items()}

    def column(self, name: str) -> list[Any]:
        """Return a column of the rows."""
        return [row[name] for row in self.rows]

    def colors(self) -> dict[Any, str]:
        """Return the colour of each value."""
        scale = self.encoding["color"]["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=False))

    def tooltips(self) -> dict[str, str]:
        """Return what the tooltip calls each field."""
        return {
            each["field"]: each.get("title", each["field"]) for each in self.encoding["tooltip"]
        }


def drawn(chart: Any) -> list[Drawn]:
    """Return the marks of a chart, in the order in which they are drawn."""
    spec = chart.to_dict()
    return list(_marks(spec, spec.get("datasets", {}), {}, ""))


def of_kind(marks: list[Drawn], kind: str) -> list[Drawn]:
    """Return the marks of one type."""
    return [each for each in marks if each.mark == kind]


def _marks(
    spec: Mapping[str, Any], datasets: Mapping[str, Any], above: Mapping[str, Any], title: Any
) -> Iterator[Drawn]:
    given = spec.get("data", above)
    told = spec.get("title", title)
    told = told["text"] if isinstance(told, Mapping) else told
    for part in ("layer", "concat", "hconcat", "vconcat"):
        for inner in spec.get(part, ()):
            yield from _marks(inner, datasets, given, told)
    if "mark" in spec:
        mark = spec["mark"]
        kind = mark["type"] if isinstance(mark, Mapping) else mark
        rows = datasets.get(given.get("name"), given.get("values", []))
        fixed = mark.get("text", "") if isinstance(mark, Mapping) else ""
        yield Drawn(kind, spec["encoding"], rows, told, fixed)
