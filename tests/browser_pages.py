"""The page of a study in a real browser, offline: `make test-browser` (skipped without one)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import assert_accessible, assert_fits, assert_quiet, opened, rows_of, saved

from jax_backprop.report import write_report
from jax_backprop.study import Summary
from jax_backprop.study.overview import overview

HOSTILE = "</script><script>alert(1)</script><b>=1+1"
SHOWN = "#compared tbody tr:not([hidden])"


@pytest.fixture(scope="module")
def page(blobs_study: Path, tmp_path_factory) -> Iterator[Any]:
    found = overview(blobs_study)  # asked about the rate, so that there is a slider
    study = {**found.manifest["study"], "about": "learning_rate", "title": HOSTILE}
    assert found.summary is not None
    manifest = {**found.manifest, "study": study}
    found = found._replace(manifest=manifest, summary=replace(found.summary, manifest=manifest))
    path = write_report(found, tmp_path_factory.mktemp("page"))
    with opened(path) as page:
        yield page


def test_it_asks_for_nothing_and_complains_of_nothing(page: Any) -> None:
    assert page.locator("h1").inner_text() == HOSTILE
    assert_quiet(page)


def test_rows_are_sorted_filtered_and_ticked_by_keyboard(page: Any) -> None:
    names = page.locator("#compared tbody th").all_inner_texts()
    button = page.locator("#compared thead button").nth(3)  # validation loss
    button.focus()
    page.keyboard.press("Enter")
    losses = [
        float(t.split()[0]) for t in page.locator("#compared td:nth-child(4)").all_inner_texts()
    ]
    assert losses == sorted(losses)
    page.keyboard.press("Enter")
    losses = [
        float(t.split()[0]) for t in page.locator("#compared td:nth-child(4)").all_inner_texts()
    ]
    assert losses == sorted(losses, reverse=True)
    page.fill("#filter", "cosine")
    assert page.locator(SHOWN).count() == 1
    page.fill("#filter", "")
    assert page.locator(SHOWN).count() == len(names) == 2
    box = page.locator("#compared input").first
    box.focus()
    page.keyboard.press("Space")
    assert page.evaluate("views.loss_by_rate.signal('picked').length") == 1
    page.click("#clear")
    assert page.evaluate("views.loss_by_rate.signal('picked').length") == 0


def test_all_runs_are_saved_as_they_are_stored(page: Any, summary: Summary) -> None:
    rows = rows_of(saved(page, "#all-data"))
    assert [row["cell"] for row in rows] == summary.cells["cell"].tolist()
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == summary.cells["learning_rate"].tolist()
    stored = summary.cells["validation_loss"].to_numpy()
    kept = np.array([float(row["validation_loss"] or "nan") for row in rows], stored.dtype)
    np.testing.assert_array_equal(kept, np.where(np.isfinite(stored), stored, np.nan))


def test_a_chart_is_saved_as_picture_and_as_its_numbers(page: Any, summary: Summary) -> None:
    place = "#figure-loss_by_rate"
    page.click(f"{place} summary")
    rows = rows_of(saved(page, f"{place} [data-table]"))
    rates = [row for each in summary.best for row in summary.of_series(each.series)]
    assert [row["validation loss"] for row in rows] == [str(r.validation_loss) for r in rates]
    svg = saved(page, f"{place} [data-svg]")
    assert svg.startswith("<svg") and "var(--" not in svg and "cosine" in svg
    with page.expect_download() as given:
        page.click(f"{place} [data-png]")
    assert Path(given.value.path()).read_bytes().startswith(b"\x89PNG")


def test_runs_are_explored_by_the_axes_that_are_picked(page: Any) -> None:
    page.locator("#explore").scroll_into_view_if_needed()
    page.wait_for_selector("#explored svg")
    page.select_option("#pick-y", "test_accuracy")
    page.wait_for_function(
        "document.querySelector('#explored').textContent.includes('test accuracy')"
    )
    assert page.said == []


def test_brushed_runs_give_their_numbers_and_curves(page: Any, summary: Summary) -> None:
    page.evaluate("parallel(['learning_rate', 'schedule', 'validation_loss'])")
    axis = page.locator("#parallel .axis").first
    axis.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_selector("#brushed-curves svg")
    low, high = page.evaluate("brushes.get('learning_rate')")
    inside = summary.cells[summary.cells["learning_rate"].between(low, high)]
    rows = rows_of(saved(page, "#brushed-csv"))
    assert 0 < len(rows) < len(summary.cells)
    assert [row["cell"] for row in rows] == inside["cell"].tolist()
    page.keyboard.press("Escape")
    axis.focus()
    page.keyboard.press("Escape")
    assert page.evaluate("brushes.size") == 0 and page.said == []


def test_a_run_tells_the_command_that_repeats_it(page: Any, summary: Summary) -> None:
    page.evaluate("showRun(7)")
    row = summary.cells.iloc[7]
    facts = page.locator("#run-facts").inner_text()
    assert row["cell"] in facts and str(row["learning_rate"]) in facts
    command = page.locator("#run-command").inner_text()
    assert f"--set 'axes.learning_rate=[{float(row['learning_rate'])!r}]'" in command
    assert f"--set 'axes.seed=[{row['seed']}]'" in command
    assert f"--set 'axes.schedule=[\"{row['schedule']}\"]'" in command


def test_the_slider_and_the_arrow_keys_choose_a_rate(page: Any) -> None:
    before = page.locator("#readout").inner_text()
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    after = page.locator("#readout").inner_text()
    assert after != before
    page.locator("#answer").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#readout").inner_text() == before
    chosen = page.evaluate(
        "[views.answer.signal('chosen'), views.training_curves.signal('chosen')]"
    )
    assert chosen[0] == chosen[1] == int(page.input_value("#slider"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_schemes(page: Any, scheme: str) -> None:
    assert_fits(page, scheme)


def test_everybody_can_use_it(page: Any) -> None:
    assert_accessible(page)
    assert_quiet(page)
