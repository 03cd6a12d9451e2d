"""What the commands share: the terminal, and a progress bar with an ETA."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# Wide enough for the tables where the output is not a terminal.
out = Console(width=None if Console().is_terminal else 120, highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


@contextlib.contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar on the terminal; quiet elsewhere. Yields ``advance_to(done, note, total)``."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        # Drawn before anything is done: a total that isn't known yet can't be written as a number.
        task = bar.add_task(label, total=total or 1, note="compiling")

        def advance_to(done: int, note: str, total: int | None = total) -> None:
            bar.update(task, completed=done, note=note, total=total)

        yield advance_to


def use_all_cores() -> None:
    """Make every core that this process may use a JAX device, unless the user chose a number.

    To be called before jax computes; JAX_NUM_CPU_DEVICES=1 is such a choice.
    """
    import jax

    if jax.config.jax_num_cpu_devices > 0:  # pyright: ignore[reportAttributeAccessIssue]
        return
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    jax.config.update("jax_num_cpu_devices", cores)
