"""What the commands share: the terminal, and a progress bar with an ETA."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from jax_backprop.cli.streams import complain, fitted
from jax_backprop.errors import printable

__all__ = [
    "Terminal",
    "complain",
    "err",
    "out",
    "progress",
    "say",
    "sweep_progress",
    "use_all_cores",
]

if TYPE_CHECKING:
    from jax_backprop.engine import SweepProgress


class Terminal(Console):
    """A console to which data are data: no markup, and no control character reaches it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield what is shown of a renderable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it is laid out: as wide as it will be."""
        return super().render_str(printable(text), **options)

    def out(self, *objects: Any, **options: Any) -> None:
        """Write texts without wrapping them."""
        super().out(*(printable(str(each)) for each in objects), **options)


def say(text: str) -> None:
    """Write a text to standard output, wrapped between words where a width is given."""
    for line in fitted(text, sys.stdout):
        out.print(line, soft_wrap=True)


# Wide enough for the tables where the output is neither a terminal nor given a width.
HAS_WIDTH = Console().is_terminal or "COLUMNS" in os.environ
out = Terminal(width=None if HAS_WIDTH else 120)
err = Terminal(stderr=True)


@contextlib.contextmanager
def progress(
    label: str, total: int | None = None, *, eta: bool = True
) -> Iterator[Callable[..., None]]:
    """Show a bar on the terminal; quiet elsewhere. Yields ``advance_to(done, note, total)``.

    ``eta`` False leaves the time that remains to the note.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=40 if eta else 16),
        MofNCompleteColumn(),  # "?" while the total isn't known
        TimeElapsedColumn(),
        *((TextColumn("ETA"), TimeRemainingColumn()) if eta else ()),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(label, total=total, note="compiling")

        def advance_to(done: int, note: str, total: int | None = total) -> None:
            bar.update(task, completed=done, note=note, total=total)

        yield advance_to


@contextlib.contextmanager
def sweep_progress(as_json: bool) -> Iterator[Callable[[SweepProgress], None]]:
    """Show a sweep's progress: a bar on a terminal, or JSON lines on standard output."""
    if as_json:

        def write(progress: SweepProgress) -> None:
            row = {k: None if v == math.inf else v for k, v in progress._asdict().items()}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()

        yield write
        return
    with progress("networks", eta=False) as advance:

        def show(found: SweepProgress) -> None:
            if not found.steps_per_second:
                return advance(found.done_cells, "compiling", found.total_cells)
            left = "?" if found.seconds_left == math.inf else _clock(found.seconds_left)
            return advance(
                found.done_cells,
                f"{left} left, {found.cells_per_second:,.0f} cells/s, "
                f"{found.steps_per_second:,.0f} steps/s, {found.diverged} failed, "
                f"best {found.best_loss:.3g}",
                found.total_cells,
            )

        yield show


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def use_all_cores() -> None:
    """Make every core that this process may use a JAX device, and keep compiled programs."""
    from jax_backprop.engine import devices

    devices.use_all_cores()


def keep_compiled_programs() -> None:
    """Keep every compiled program of one network for the next command, however short it took."""
    from jax_backprop.engine import devices

    devices.keep_compiled_programs(shortest=0.0)
