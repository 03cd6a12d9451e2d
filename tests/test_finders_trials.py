"""Trials train as ``fit`` does, whoever's step it is; what can't be used is refused by its name."""

from __future__ import annotations

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_cli import call

import jax_backprop as jb
from jax_backprop.finding.limits import limits_at
from jax_backprop.finding.trainers import learner_trainer, step_trainer
from jax_backprop.finding.trials import Trial, Trials
from jax_backprop.types import Scaling

NETWORK = jb.Network(layer_sizes=(6, 5, 3))
GRADIENT = partial(jb.value_and_grad, network=NETWORK)
EVALUATE = partial(jb.evaluate, network=NETWORK)


def init(key):
    return jb.init_params(NETWORK, key=key)


def own_step(state, batch, rate):
    """Take a step as a user writes it; its state holds a function, too."""
    params, activation = state
    loss, grads = GRADIENT(params, batch)
    moved = jax.tree.map(lambda leaf, grad: leaf - rate * grad, params, grads)
    return (moved, activation), loss


def losses(trials: Trials, cells: list[Trial], shape: np.ndarray) -> np.ndarray:
    found = np.empty(len(cells))
    for done, ends, _ in trials.run(cells, shape):
        found[done] = ends
    return found


def test_trials_are_fits_shorter_and_a_step_of_ones_own_is_the_same(blobs) -> None:
    learner = jb.network_learner(NETWORK)
    trainers = [
        learner_trainer(init, learner),
        step_trainer(lambda key: (init(key), jnp.tanh), own_step, None, Scaling()),
    ]
    cells = [Trial(seed, rate) for seed in (3, 4) for rate in (0.1, 1.0, 3.0)]
    epochs, steps = 2, 2 * (len(blobs.train.labels) // 20)
    shape = np.linspace(1, 0.5, steps)
    expected = []
    for cell in cells:
        keys = jb.role_keys(cell.seed)
        params = jb.fit(
            init(keys.init),
            blobs,
            key=keys.order,
            network=NETWORK,
            learning_rate=cell.rate * shape,
            batch_size=20,
            epochs=epochs,
        ).params
        expected.append(float(EVALUATE(params, blobs.validation).loss))
    for trainer in trainers:
        trials = Trials(trainer, blobs.train, blobs.validation, batch_size=20, longest=steps + 3)
        np.testing.assert_allclose(losses(trials, cells, shape), expected, rtol=2e-5)
        start = float(EVALUATE(init(jb.role_keys(3).init), blobs.validation).loss)
        zero = losses(trials, [Trial(3, 0.0)], np.ones(1))
        np.testing.assert_allclose(zero, start, rtol=1e-6)


def test_the_limit_is_that_of_the_hessian_and_of_the_direction(blobs) -> None:
    params, learner = init(jax.random.key(0)), jb.network_learner(NETWORK)
    found = limits_at(params, blobs.train, learner=learner)
    sharpness = float(jb.sharpness(params, blobs.train, network=NETWORK).value)
    assert float(found.sharpness) == pytest.approx(2 / sharpness, rel=0.01)
    assert found.direction >= 0.99 * found.sharpness  # the sharpest direction is the worst
    flat = jb.Network(layer_sizes=(blobs.features, blobs.outputs))
    zeros = jb.init_params(flat, key=jax.random.key(0), init_scale=0.0)
    there = limits_at(zeros, blobs.train, learner=jb.network_learner(flat))
    steep = float(jb.sharpness(zeros, blobs.train, network=flat).value)
    assert float(there.sharpness) == pytest.approx(2 / steep, rel=0.01)
    heavy = limits_at(params, blobs.train, learner=learner._replace(direction=optax.trace(0.9)))
    built_up = (1 - 0.9**20) / 0.1
    assert float(found.direction / heavy.direction) == pytest.approx(built_up, rel=1e-3)


def test_a_rate_is_found_shown_and_used(blobs) -> None:
    told = []
    found = jb.find_learning_rate(
        init, GRADIENT, blobs, batch_size=20, epochs=20, budget=2, on_progress=told.append
    )
    assert found.cost <= 2 and found.window[0] <= found.rate <= found.window[1]
    assert told[-1].done_steps == pytest.approx(found.cost * found.steps, abs=1)
    assert f"{found.rate:.4g}" in str(found) and "<table>" in found._repr_html_()
    result = jb.fit(
        init(jax.random.key(5)),
        blobs,
        key=jax.random.key(6),
        network=NETWORK,
        learning_rate=found.rate,
        batch_size=20,
        epochs=20,
    )
    assert EVALUATE(result.params, blobs.validation).loss < 0.2
    own = jb.find_learning_rate(
        lambda key: (init(key), jnp.tanh),
        None,
        blobs,
        training_step=own_step,
        batch_size=20,
        epochs=20,
        budget=2,
    )
    assert own.limits is None and 0.1 < own.rate / found.rate < 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rates": (1.0, 0.1)}, "range of rates: got 1 to 0.1"),
        ({"rates": (0.0, 1.0)}, "range of rates: got 0 to 1"),
        ({"rates": (1.0, 1e60)}, r"range of rates: got 1 to 1e\+60"),
        ({"rates": (float("nan"), 1.0)}, "range of rates: got nan to 1"),
        ({"batch_size": 500}, "batch size: got 500"),
        ({"budget": 0}, "budget, in trainings"),
        ({"budget": float("nan")}, "budget, in trainings"),
        ({"optimizer": "prodigy"}, "'prodigy', which finds its own rate"),
        ({"optimizer": optax.adam(1e-3)}, "it brings its own rate"),
        ({"training_step": own_step}, "value_and_grad: got it beside a training_step"),
    ],
)
def test_what_cant_be_used_is_refused_before_anything_runs(blobs, given, message: str) -> None:
    with pytest.raises(jb.InputError, match=message):
        jb.find_learning_rate(init, GRADIENT, blobs, **{"batch_size": 20, "epochs": 2, **given})


def test_the_command_prints_the_train_command_with_the_rate(tmp_path, capsys) -> None:
    rows = tmp_path / "rows.csv"
    generator = np.random.default_rng(0)
    points = generator.normal(size=(120, 2))
    lines = [f"{x},{y},{int(x + y > 0)}" for x, y in points]
    rows.write_text("\n".join(["x,y,c", *lines]))
    named = ("--dataset", f"csv:{rows}", "--label", "c", "--batch-size", 10, "--hidden", 4)
    chosen = (*named, "--epochs", 20, "--optimizer", "heavy_ball", "--momentum", 0.5)
    page = tmp_path / "page.html"
    assert call("find-rate", *chosen, "--budget", 1, "--out", page) == 0
    printed = capsys.readouterr().out
    command = printed.partition("Train with it: jax-backprop ")[2].splitlines()[0]
    assert "All of them have its kind of targets, loss" in printed
    assert "none its optimizer (heavy_ball(momentum=0.5))" in printed
    assert "--optimizer heavy_ball --momentum 0.5" in command and "--hidden 4" in command
    assert call(*command.split()) == 0
    capsys.readouterr()
    assert "<svg" in page.read_text() and "Learning rate: " in page.read_text()
    assert "<h1>The learning rate of 2-4-2 on csv:" in page.read_text()
    assert call("find-rate", *chosen, "--budget", 1, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert f"--learning-rate {told['rate']:.4g}" in command and told["command"].endswith(command)
    wide = [8 if each == 4 else each for each in chosen]
    proxied = (*wide, "--proxy-width", 4, "--budget", 1, "--json")
    assert call("find-rate", *proxied) == 0  # the same search, for another network
    wider = json.loads(capsys.readouterr().out)
    assert wider["rate"] == told["rate"] and wider["trials"] == told["trials"]
    assert "--hidden 8 --parametrization mup --base-width 4" in wider["command"]
    assert ", proxy" in wider["experience"][-2]
    assert "another network than the standard one" in wider["experience"][-1]
    assert call("find-rate", *chosen, "--proxy-width", 4) == 2
    assert "proxy width: got 4; expected from 1 to 3" in capsys.readouterr().err
    noise = ("--dataset", "noise:60,4,3", "--hidden", 4, "--epochs", 20, "--init-scale", 0.1)
    assert call("find-rate", *noise, "--budget", 1) == 1
    assert "no rate is recommended" in capsys.readouterr().err
    for wrong in (("--low", 1), ("--learning-rate", 1), ("--optimizer", "dog")):
        assert call("find-rate", *noise, *wrong) == 2
