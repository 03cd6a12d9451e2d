"""The pages of a marked class in a real browser: `make test-browser`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import assert_accessible, assert_fits, assert_quiet, opened
from test_cli import call
from test_submissions import sheet

from jax_backprop.marking.problem import Problem


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Any]:
    place = tmp_path_factory.mktemp("class")
    (place / "ann.json").write_text(sheet(Problem()))
    (place / "ben.json").write_text(sheet(Problem(), scale=2.0))
    steps = json.loads(sheet(Problem()))
    wrong = np.asarray(steps["dW1"])
    wrong[2, 3] += 1
    (place / "cleo <b>.json").write_text(json.dumps({**steps, "dW1": wrong.tolist()}))
    assert call("mark", place, "--out", place / "_marks") == 1
    with opened(place / "_marks" / "index.html", "table") as page:
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_class_and_a_student_fit_a_phone_quietly(page: Any, scheme: str) -> None:
    overview = page.url
    assert page.locator("tbody tr").count() == 4 and page.locator(".bars > div").count() == 2
    for _ in range(2):
        assert_fits(page, scheme)
        assert_accessible(page)
        page.locator("a", has_text="cleo <b>").or_(page.locator("h1")).last.click()
    page.goto(overview)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator("td").first.bounding_box()["width"] > 90, (
        "names aren't cut letter by letter"
    )
    page.locator("a", has_text="cleo <b>").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".hint")
    assert page.locator(".picture").inner_text().count("#") == 1
    page.goto(overview)
    assert_quiet(page)
