"""Families of right and wrong gradients: labels hold, a step goes on where the last one ended."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jax_backprop import check_gradient

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks" / "families"
sys.path.insert(0, str(FOLDER))

from formulas import kernels, second_order  # noqa: E402
from kinks import KINKS, cases  # noqa: E402

TIES = list(cases())


def test_there_are_500_subgradients_and_200_wrong_splits_each_of_its_own_name() -> None:
    assert sum(case.right for case in TIES) >= 500
    assert sum(not case.right for case in TIES) >= 200
    with jax.enable_x64(True):
        everything = [*TIES, *kernels(), *second_order()]
    assert len({(case.family, case.name) for case in everything}) == len(everything)


@pytest.mark.parametrize("name", KINKS)
def test_a_label_is_what_convexity_says(name: str) -> None:
    """A subgradient g of a convex loss: f(y) >= f(x) + <g, y - x> for every y, and no other is."""
    with jax.enable_x64(True):
        of = [case for case in TIES if case.name.startswith(f"{name}, point 0")]
        loss = jax.jit(jax.vmap(KINKS[name].loss, in_axes=(0, None, None)))
        for case in of:
            x, data, shares = case.args
            grad = np.asarray(case.gradient(x, data, shares))
            ways = np.random.default_rng(0).normal(size=(200, *x.shape))
            each = np.eye(x.size).reshape(-1, *x.shape)
            ways = np.concatenate([ways, each, -each, grad[None], -grad[None], 0 * x[None]])
            ways = np.concatenate([ways, 0 * ways[:1] + 1, 0 * ways[:1] - 1])
            there = np.asarray(loss(x + 1e-3 * ways, data, shares))
            here = np.asarray(loss(x[None], data, shares))
            below = here + 1e-3 * (ways * grad).reshape(len(ways), -1).sum(1)
            assert case.right == bool(np.all(below <= there + 1e-12)), case.name


# What all pieces together have, no element alone shows: a sort's tie, and pairs of ties.
@pytest.mark.parametrize("name", ["two largest, point 5", "pairwise distances, point 0"])
def test_a_split_that_is_wrong_only_over_several_elements_is_refused(name: str) -> None:
    with jax.enable_x64(True):
        for case in (each for each in TIES if each.name.startswith(name)):
            report = check_gradient(case.loss, case.gradient, *case.args)
            assert report.verdict == ("pass" if case.right else "fail"), case.name


def test_a_step_goes_on_where_the_last_one_ended(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("families_run", FOLDER / "run.py")
    assert spec is not None and spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    asked: list[str] = []

    def judge(case) -> dict[str, str]:
        asked.append(case.name)
        return {"jax_backprop": "pass", "a peer": "fail"}

    monkeypatch.setattr(run, "judge", judge)
    file, of = tmp_path / "ties.json", [*TIES[:2], *TIES[6:8]]
    run._step(of, file, float("inf"))
    assert asked == [case.name for case in of]
    cut = json.loads(file.read_text())
    del cut["rows"][of[-1].name]
    file.write_text(json.dumps(cut))
    text = run.table({"ties": run._step(of, file, 0.0)})  # no time left: what there is
    assert "| ties | jax_backprop | 1 of 1 | 0 of 2 | 0, 0 |" in text
    assert "| ties | a peer | 0 of 1 | 2 of 2 | 0, 0 |" in text
    assert "3 of 4 judged so far" in text
    run._step(of, file, float("inf"))
    assert asked[4:] == [of[-1].name]
    monkeypatch.setattr(run, "_code", lambda: "another referee")
    run._step(of[:1], file, float("inf"))
    assert asked[5:] == [of[0].name]  # the old verdicts are another referee's
