"""Where a run stands, by a fake clock: counts, speed, the time that is left, and how it is told."""

from __future__ import annotations

import io
import json
import math
import re
from types import SimpleNamespace

import pyarrow as pa
import pytest
from rich.console import Console

from jax_backprop.cli import console
from jax_backprop.engine import progress
from jax_backprop.engine.progress import Meter, SweepProgress


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def perf_counter(self) -> float:  # noqa: D102
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def finished(
    tail: list[float], start: list[float], validation: list[float], bad: list[bool]
) -> pa.Table:
    return pa.table(
        {"tail_loss": tail, "loss_at_start": start, "validation_loss": validation}
        | {"non_finite": bad}
    )


def test_speed_and_time_left_are_of_the_segments_after_the_first(clock: Clock) -> None:
    """The first segment holds the compilation: until it has run there is no speed to tell."""
    told: list[SweepProgress] = []
    meter = Meter(told.append)
    meter.begin(cells=10, steps=1000.0, found_cells=4, found_steps=400.0)
    first = told[-1]
    assert (first.done_cells, first.total_cells, first.computed_cells) == (4, 10, 0)
    assert (first.steps_per_second, first.cells_per_second) == (0, 0)
    assert first.seconds_left == math.inf
    clock.now += 60
    meter.advance(100.0)
    assert told[-1].seconds_left == math.inf
    clock.now += 2
    meter.advance(200.0)
    then = told[-1]
    assert then.steps_per_second == 100  # 200 steps in 2 s
    assert then.seconds_left == 3  # 1,000 less 400 found, 100 and 200 done
    assert then.cells_per_second == 1  # of 100 steps each
    clock.now += 6
    meter.advance(200.0)
    assert (told[-1].steps_per_second, told[-1].seconds_left) == (50, 2)


def test_cells_are_counted_by_how_they_ended(clock: Clock) -> None:
    told: list[SweepProgress] = []
    meter = Meter(told.append)
    meter.begin(cells=9, steps=90.0, found_cells=2, found_steps=20.0)
    bad = [False, False, True, False]
    meter.add(finished([0.1, 1.5, 0.5, 1.0], [1.0] * 4, [0.3, 2.0, math.nan, 0.9], bad))
    meter.add(finished([0.2], [1.0], [0.4], [False]))
    last = told[-1]
    assert (last.done_cells, last.computed_cells) == (7, 5)
    assert (last.diverged, last.non_finite, last.best_loss) == (2, 1, 0.3)
    meter.begin(cells=12, steps=120.0, found_cells=7, found_steps=70.0)  # a second round of one run
    assert (told[-1].done_cells, told[-1].total_cells) == (7, 12)


@pytest.fixture
def screen(monkeypatch) -> io.StringIO:
    """What a terminal shows; a test's output is none, where the bar is never drawn."""
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=True, width=140))
    return screen


def shown(screen: io.StringIO) -> str:
    """Return the last line drawn, without its colours."""
    drawn = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).splitlines()
    return [line for line in drawn if line.strip()][-1]


STANDING = SweepProgress(
    done_cells=30,
    total_cells=1200,
    computed_cells=10,
    cells_per_second=2345.4,
    steps_per_second=67890.0,
    seconds_left=3723.4,
    diverged=5,
    non_finite=1,
    best_loss=0.12345,
)


def test_a_bar_tells_what_is_left_how_fast_and_the_best(screen: io.StringIO) -> None:
    standings = {
        "2,345 cells/s, 67,890 steps/s, 5 failed, best 0.123": STANDING,
        "30/1200 0:00:00 1:02:03 left": STANDING,
        "1:03 left": STANDING._replace(seconds_left=62.6),
        "? left": STANDING._replace(seconds_left=math.inf),
        "30/1200 0:00:00 compiling": STANDING._replace(steps_per_second=0.0),
    }
    for words, standing in standings.items():
        with console.sweep_progress(as_json=False) as show:
            show(standing)
        assert words in shown(screen)


def test_progress_as_json_is_an_object_a_line(capsys) -> None:
    with console.sweep_progress(as_json=True) as show:
        show(STANDING._replace(seconds_left=math.inf, best_loss=math.inf))
        show(STANDING)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert second == STANDING._asdict()
    assert (first["seconds_left"], first["best_loss"], first["done_cells"]) == (None, None, 30)


def test_a_bar_whose_total_is_not_known_yet(screen: io.StringIO) -> None:
    """As every run starts."""
    with console.progress("steps") as advance:
        advance(0, "compiling")
    assert "0/? 0:00:00 ETA  compiling" in shown(screen)


def test_the_time_left_of_a_bar_is_that_of_the_speed_so_far(screen: io.StringIO) -> None:
    clock = SimpleNamespace(now=0.0)
    console.err.get_time = lambda: clock.now  # rich's own clock
    with console.progress("steps") as advance:
        for done in (10, 20, 30):
            clock.now += 10.0
            advance(done, "validation loss 0.5", 100)
    assert "30/100 0:00:30 ETA 0:01:10 validation loss 0.5" in shown(screen)
