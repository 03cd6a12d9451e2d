"""Tables that fit: at no width is a number cut or a name split."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from jax_backprop.errors import printable

GAP = 2  # characters between two columns: a space of the box, and one of padding
INDENT = 2


class Table:
    """A table where it fits; else without what it can do without; else a block a row.

    Args:
      heads, rows: what stands in it; where a row's first cell is as above, it isn't said again.
      title, caption: above and below it.
      texts: the columns whose cells may go on in another line, between words; they stand left.
      dropped: the columns to leave out where there is no room, the first of them first.
    """

    def __init__(
        self,
        heads: Sequence[str],
        rows: Sequence[Sequence[str | Text]],
        *,
        title: str = "",
        caption: str = "",
        texts: Collection[str] = (),
        dropped: Sequence[str] = (),
    ) -> None:
        self._heads, self._texts = list(heads), texts
        self._rows = [[_text(cell) for cell in row] for row in rows]
        self._title, self._caption, self._dropped = title, caption, dropped

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield it at the width that there is."""
        if self._title:
            yield Text(self._title, style="italic")
        kept = list(range(len(self._heads)))
        for name in (None, *self._dropped):
            kept = [column for column in kept if self._heads[column] != name]
            if sum(map(self._least, kept)) + GAP * (len(kept) - 1) <= options.max_width:
                yield self._table(kept, options.max_width)
                break
        else:
            yield from self._blocks(options.max_width)
        if self._caption:
            yield Text(self._caption, style="dim italic")

    def _least(self, column: int) -> int:
        """Return how wide a column has to be."""
        head, cells = self._heads[column], [row[column].plain for row in self._rows]
        breaks = (lambda cell: cell.split()) if head in self._texts else str.splitlines
        parts = [*head.split(), *(part for cell in cells for part in breaks(cell))]
        return max(Text(part).cell_len for part in parts or [""])

    def _widths(self, kept: Sequence[int], room: int) -> list[int]:
        """Return how wide columns are: what they would be, less where most can go in lines."""
        least, widths = [self._least(column) for column in kept], []
        for column in kept:
            cells = [line for row in self._rows for line in row[column].plain.splitlines()]
            widths.append(max(Text(part).cell_len for part in (self._heads[column], *cells)))
        while sum(widths) + GAP * (len(kept) - 1) > room:
            # Heads go on in another line before names do.
            spare = [
                (width > needed, self._heads[column] not in self._texts, width - needed)
                for column, width, needed in zip(kept, widths, least, strict=True)
            ]
            widths[spare.index(max(spare))] -= 1
        return widths

    def _table(self, kept: Sequence[int], room: int) -> RichTable:
        table = RichTable(
            box=SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False
        )
        for column, width in zip(kept, self._widths(kept, room), strict=True):
            left = self._heads[column] in self._texts
            table.add_column(self._heads[column], justify="left" if left else "right", width=width)
        before = None
        for row in self._rows:
            first = row[kept[0]]
            table.add_row(
                *(
                    Text("") if column == kept[0] and first == before else row[column]
                    for column in kept
                )
            )
            before = first
        return table

    def _blocks(self, width: int) -> Iterator[RenderableType]:
        """Yield a row after the other: its name, below it what the columns say, as it fits."""
        before = None
        for first, *rest in self._rows:
            if first != before:
                yield Text.assemble(first, style="bold")
            before = first
            line = Text()
            for head, cell in zip(self._heads[1:], rest, strict=True):
                said = Text.assemble((f"{head} ", "dim"), cell)
                if line and line.cell_len + said.cell_len + 3 > width - INDENT:
                    yield Padding(line, (0, 0, 0, INDENT), expand=False)
                    line = Text()
                line.append("   " if line else "").append_text(said)
            yield Padding(line, (0, 0, 0, INDENT), expand=False)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(printable(cell))
