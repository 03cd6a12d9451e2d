"""The progress bar, as a terminal shows it."""

from __future__ import annotations

import io

from rich.console import Console

from jax_backprop.cli import console


def test_a_bar_whose_total_is_not_known_yet(monkeypatch) -> None:
    """As every run starts; a test's output is no terminal, where the bar is never drawn."""
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=True, width=100))
    with console.progress("steps") as advance:
        advance(0, "compiling")
        advance(3, "validation loss 0.5", 10)
    assert "0/?" in screen.getvalue() and "3/10" in screen.getvalue()
