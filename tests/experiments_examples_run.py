"""The examples in experiments/examples run, and show what they say."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

EXAMPLES = Path(__file__).parent.parent / "experiments" / "examples"


@pytest.fixture(autouse=True)
def as_users_run_them(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with jax.numpy_rank_promotion("allow"):
        yield


def test_each_is_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert len(lengths) == 6 and max(lengths.values()) < 60


def test_regression_on_a_table() -> None:
    assert importlib.import_module("regression_on_a_table").main() > 0.9


def test_class_weights_find_the_rare_class() -> None:
    recalls = importlib.import_module("weighted_logistic_regression").main()
    assert recalls["balanced"] > recalls["plain"] + 0.2


def test_rates_per_layer() -> None:
    rows = importlib.import_module("rates_per_layer").main()
    assert len(rows) == 6 and rows[0]["test_accuracy"] > 0.9


def test_a_transformer_learns_the_next_letter() -> None:
    pytest.importorskip("equinox")
    slow, fast = importlib.import_module("transformer_on_characters").main()
    assert fast < 0.5 < slow


@pytest.mark.optimized  # as users run it: without, a convolution takes three times as long
def test_a_convolution() -> None:
    """On MNIST if it is prepared; the small digits show that it runs."""
    pytest.importorskip("flax")
    assert importlib.import_module("convolution_on_mnist").main("digits", 8, epochs=5) > 0.7
    sys.modules.pop("convolution_on_mnist")
