"""The audit of float32 derivatives: what it measures, and that its lines give what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments" / "benchmarks"))

from audit import EPS, LEAST, SHOWN, VECTOR, errors, functions, in_eps, page


def test_errors_are_in_eps_where_float64_has_a_number_that_float32_holds() -> None:
    found = np.array([1 + 2 * EPS, np.nan, 5.0, 7.0, 0.0])
    truth = np.array([1.0, 3.0, 1e39, LEAST / 2, 1e-9])
    np.testing.assert_allclose(in_eps(found, truth), [2, np.inf, 0, 0, 1 / EPS])


def test_a_row_shows_what_its_line_gives() -> None:
    text = f"lambda x: jax.nn.log_softmax({VECTOR})[0]"
    rows = list(errors("jax.nn", text, eval(text)))
    assert [row.what for row in rows] == ["value", "gradient"]
    for row in rows:
        got = float(eval(row.line, {"jax": jax, "jnp": jnp}))
        assert row.eps >= SHOWN
        assert row.got == got
        assert f"| {row.got:.7g} | {row.expected:.7g} | `{row.line}` |" in page(rows, 1)


def test_an_accurate_function_has_no_row() -> None:
    rows = list(errors("jax.nn", "lambda x: x * x", lambda x: x * x))
    assert len(rows) == 2
    assert max(row.eps for row in rows) <= 1


def test_all_three_modules_are_asked() -> None:
    names = [text.split(": ")[1] for _, text, _ in functions()]
    assert {"jax.nn.gelu(x)", "jax.scipy.special.erfcx(x)"} <= set(names)
    assert sum(name.startswith("optax.losses.") for name in names) >= 10
