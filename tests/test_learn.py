"""``learn``: what the page holds is what the store holds."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from learned import Learned, learned  # noqa: F401 - a fixture
from test_cli import call

from jax_backprop import load_dataset
from jax_backprop.backprop import value_and_grad
from jax_backprop.curvature import hessian_vector_product
from jax_backprop.engine.store import load_study, read_manifest
from jax_backprop.network import init_params, loss
from jax_backprop.report.learn import beyond
from jax_backprop.report.maps import map_of
from jax_backprop.settings import Run
from jax_backprop.study.slices import STEPS, Slice, run_of, slice_of
from jax_backprop.training import fit, role_keys
from jax_backprop.types import Batch


def test_the_page_holds_every_run_as_it_is_stored(learned: Learned) -> None:  # noqa: F811
    summary, data = learned.summary, learned.data
    series = summary.chosen.series
    cells = summary.cells[summary.cells["series"] == series]
    assert len(data["runs"]) == len(cells) == len(data["rates"]) * cells["seed"].nunique()
    curves = summary.curves.assign(cell=summary.curves["cell"].astype(str))
    shown = {(data["rates"][run[0]], run[1]): run for run in data["runs"]}
    for row in cells.to_dict("records"):
        _, _, outcome, *measures, curve = shown[row["learning_rate"], row["seed"]]
        stored = [row[name] for name in ("tail_loss", "validation_loss", "test_accuracy")]
        own = curves[curves["cell"] == row["cell"]].sort_values("step")
        assert outcome == row["outcome"] and data["steps"] == own["step"].tolist()
        for found, truth in ((measures, stored), (curve, own["train_loss"].tolist())):
            floats = np.array([np.nan if each is None else each for each in found], np.float32)
            truths = np.array(truth, np.float32)
            np.testing.assert_array_equal(floats, np.where(np.isfinite(truths), truths, np.nan))


def test_the_page_is_offline_and_quotes_the_study(learned: Learned) -> None:  # noqa: F811
    text = learned.page.read_text()
    assert len(text) < 3_000_000 and "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "2/sharpness" in text and f"{learned.summary.chosen.learning_rate:.3g}" in text
    found = map_of(read_manifest(learned.map), load_study(learned.map))
    assert found is not None and learned.data["maps"][0]["ends"] == [list(e) for e in found.ends]
    assert found.networks == load_study(learned.map).num_rows == learned.data["maps"][0]["networks"]


@pytest.fixture(scope="module")
def plane() -> Slice:
    return slice_of(Run(dataset="noise:12,5,3", hidden_sizes=(4,), epochs=30), (0.1, 5.0))


def test_a_slice_is_of_the_networks_own_loss(plane: Slice) -> None:
    """The corner points and the first step, computed anew from parameters."""
    run, data = plane.run, load_dataset(plane.run.dataset)
    network, keys = run.network_of(data.features, data.classes), role_keys(run.seed)
    start = init_params(network, key=keys.init)
    end = fit(start, data, key=keys.order, network=network, **run.training).params
    with jax.enable_x64(True):
        batch = Batch(jnp.asarray(data.train.inputs, float), jnp.asarray(data.train.labels))
        double = [
            jax.tree.map(lambda leaf: jnp.asarray(leaf, float), each) for each in (start, end)
        ]
        (first, unravel), (last, _) = map(ravel_pytree, double)
        distance = float(jnp.linalg.norm(first - last))
        assert plane.paths[:, 0] == pytest.approx(np.array([[0, distance]] * 2))
        assert plane.losses[:, 0] == pytest.approx(
            float(loss(unravel(first), batch, network=network))
        )
        along = (first - last) / distance
        share = np.interp(0, plane.across, np.arange(len(plane.across)))
        assert share == int(share), "the middle column leads from trained to start"
        for row in (0, 17, -1):
            point = unravel(last + plane.along[row] * along)
            found = plane.loss[row, int(share)]
            assert found == pytest.approx(float(loss(point, batch, network=network)), rel=1e-12)
        grads = ravel_pytree(value_and_grad(unravel(first), batch, network=network)[1])[0]
        for rate, path in zip(plane.rates, plane.paths, strict=True):
            assert path[1, 1] == pytest.approx(distance - rate * float(grads @ along), rel=1e-12)
        product = hessian_vector_product(unravel(last), batch, unravel(along), network=network)
        assert float(ravel_pytree(product)[0] @ along) < plane.sharpness_when_trained
    assert plane.paths.shape == (2, STEPS + 1, 2)


def test_what_lies_beyond_the_parabola_is_said(plane: Slice) -> None:
    falls = np.linspace(1, 0.5, STEPS + 1)
    rises = np.concatenate([[1.0, 3.0], np.full(STEPS - 1, 0.1)])
    told = plane._replace(losses=np.stack([falls, rises]), sharpness_at_start=4.0)
    assert beyond(told) == (
        "On this plane the loss first rises at a rate of 5, 10 times 2/sharpness, and ends lowest "
        "at a rate of 5, 10 times 2/sharpness."
    )
    assert "at none of the rates" in beyond(told._replace(losses=np.stack([falls, falls / 2])))


def test_a_run_of_a_series_has_its_choices() -> None:
    study = Run(epochs=3).model_dump(mode="json", exclude_none=True)
    settings = {"schedule": "cosine", "hidden_sizes": [8, 4], "optimizer": "heavy_ball"}
    run = run_of(study, {**settings, "optimizer.momentum": 0.5}, learning_rate=2.0, seed=3)
    assert (run.schedule.name, run.hidden_sizes, run.seed) == ("cosine", (8, 4), 3)
    assert (run.optimizer.name, run.optimizer.momentum, run.learning_rate) == (
        "heavy_ball",
        0.5,
        2.0,
    )


def test_what_is_no_study_of_rates_is_refused(learned: Learned, tmp_path: Path, capsys) -> None:  # noqa: F811
    for arguments, message in (
        (("--study", learned.map), "one learning rate"),
        (("--study", learned.study, "--map", learned.study), "no finished grid of two numbers"),
        (("--study", tmp_path), "study.json"),
    ):
        assert call("learn", tmp_path / "page", *arguments) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "page").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "learn.html").write_text("mine")
    assert call("learn", tmp_path / "mine", "--study", learned.study) == 2
    assert (tmp_path / "mine" / "learn.html").read_text() == "mine"
