"""Who decides the rate of a step: rate rules, optimizers with a rate of their own, reduction."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import optax
import pytest
from optax import contrib

from jax_backprop import (
    Batch,
    Dataset,
    Grid,
    InputError,
    Layer,
    Network,
    fit,
    hessian_vector_product,
    init_params,
    loss,
    network_learner,
    role_keys,
    sharpness,
)
from jax_backprop.engine import sweep
from jax_backprop.optimizers import check_descends
from jax_backprop.settings import Optimizer, Rule
from jax_backprop.training import epoch_orders

NETWORK = Network(layer_sizes=(6, 6, 3))
KEYS = role_keys(0)
LOSS = partial(loss, network=NETWORK)
GRADIENT = jax.jit(jax.grad(LOSS))


def run(data: Dataset, **changes):
    settings = {"network": NETWORK, "learning_rate": 1.0, "batch_size": 10, "epochs": 1} | changes
    return fit(init_params(NETWORK, key=KEYS.init), data, key=KEYS.order, **settings)


def by_optax(data: Dataset, optimizer) -> tuple:
    """Return parameters and state after the same ten steps with optax alone."""
    params = init_params(NETWORK, key=KEYS.init)
    state = optimizer.init(params)
    for rows in np.asarray(epoch_orders(KEYS.order, 0, epochs=1, examples=104, batch_size=10)):
        batch = Batch(data.train.inputs[rows], data.train.labels[rows])
        updates, state = optimizer.update(GRADIENT(params, batch), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_close(first, second, rtol: float) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=1e-6), first, second)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("d_adaptation", contrib.dadapt_adamw()),
        ("prodigy", contrib.prodigy(1.0)),
        ("dog", contrib.dog(1.0)),
        ("cocob", contrib.cocob()),
    ],
)
def test_optimizers_with_a_rate_of_their_own_are_optaxs(blobs: Dataset, name: str, theirs) -> None:
    moved = by_optax(blobs, theirs)[0]
    assert_close(run(blobs, optimizer=name).params, moved, rtol=1e-4)
    start = init_params(NETWORK, key=KEYS.init)
    assert not np.array_equal(moved[0].weights, start[0].weights)


CLIP, DECAY = optax.clip_by_global_norm(0.3), optax.add_decayed_weights(0.05)
FREE = contrib.schedule_free(optax.chain(DECAY, optax.sgd(0.5)), 0.5, b1=0.9)


@pytest.mark.parametrize(
    ("given", "theirs"),
    [
        ({"clip_norm": 0.3}, optax.chain(CLIP, optax.sgd(0.5))),
        ({"name": "adam", "accumulate_steps": 3}, optax.adam(0.5)),
        (
            {"name": "heavy_ball", "weight_decay": 0.05},
            optax.chain(optax.trace(0.9), DECAY, optax.scale(-0.5)),
        ),
        (
            {"name": "adamw", "clip_norm": 0.3, "accumulate_steps": 4, "weight_decay": 0.05},
            optax.chain(CLIP, optax.adamw(0.5, weight_decay=0.05)),
        ),
        (
            {"name": "adam", "independent_decay": 0.05},
            optax.chain(optax.adam(0.5), optax.add_decayed_weights(-0.05)),
        ),
        ({"name": "schedule_free", "weight_decay": 0.05, "accumulate_steps": 2}, FREE),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_what_stands_around_a_direction_is_optaxs(blobs: Dataset, given, theirs) -> None:
    """Clipping, accumulation and decays, in ``fit``; all at once in a study that traces them."""
    given = {"name": "gradient_descent", **given}
    with jax.enable_x64(True):
        steps = given.get("accumulate_steps")
        many = optax.MultiSteps(theirs, steps or 1, accumulator_dtype=np.float64)
        moved, state = by_optax(blobs, many)
        if given["name"] == "schedule_free":
            moved = contrib.schedule_free_eval_params(state.inner_opt_state, moved)
        ours = run(blobs, optimizer=Optimizer(**given), learning_rate=0.5).params
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-10), ours, moved)
        if given["name"] != "adamw":
            return
        end = float(LOSS(moved, blobs.train))
        axes = {f"optimizer.{key}": [each, 2] for key, each in given.items() if key != "name"}
        how = {"network": NETWORK, "learning_rate": 0.5, "batch_size": 10, "epochs": 1}
        cells = sweep(None, blobs, Grid(axes), optimizer=given["name"], **how).cells
        assert cells["train_loss"][0].as_py() == pytest.approx(end, rel=1e-10)


def test_plateau_is_optaxs(blobs: Dataset) -> None:
    rule = Rule(name="plateau", factor=0.5, patience=1, tolerance=0.5, cooldown=1, window=2)
    lowered = contrib.reduce_on_plateau(0.5, 1, 0.5, cooldown=1, accumulation_size=2)
    with jax.enable_x64(True):
        params = init_params(NETWORK, key=KEYS.init)
        state, rates = lowered.init(params), []
        for rows in np.asarray(epoch_orders(KEYS.order, 0, epochs=1, examples=104, batch_size=10)):
            batch = Batch(blobs.train.inputs[rows], blobs.train.labels[rows])
            value, grads = LOSS(params, batch), GRADIENT(params, batch)
            scaled, state = lowered.update(grads, state, value=value)
            rates.append(0.3 * float(state.scale))
            params = jax.tree.map(lambda leaf, step: leaf - 0.3 * step, params, scaled)
        found = run(blobs, rate_rule=rule, learning_rate=0.3)
        assert len(set(rates)) > 2
        np.testing.assert_allclose(found.history.steps.learning_rate, rates, rtol=1e-12)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10), found.params, params)


def test_a_run_has_an_update(blobs: Dataset) -> None:
    with pytest.raises(InputError, match="accumulate_steps: got 11 in a run of 10 steps"):
        run(blobs, optimizer=Optimizer(accumulate_steps=11))


def test_schedule_free_is_optaxs_and_evaluated_at_its_average(blobs: Dataset) -> None:
    ours = run(blobs, optimizer="schedule_free", learning_rate=0.5)
    theirs = contrib.schedule_free(optax.sgd(0.5), 0.5, b1=0.9)
    trained, state = by_optax(blobs, theirs)
    average = contrib.schedule_free_eval_params(state, trained)
    assert_close(ours.params, average, rtol=1e-4)
    assert np.max(np.abs(np.asarray(ours.params[0].weights) - trained[0].weights)) > 1e-4
    np.testing.assert_allclose(ours.history.train.loss[-1], LOSS(average, blobs.train), rtol=1e-4)


def test_a_line_search_takes_the_largest_rate_that_lowers_the_loss_enough(blobs: Dataset) -> None:
    """Each rate used meets Armijo's condition on its batch, and one step less of it doesn't."""
    found = run(blobs, rate_rule="line_search", learning_rate=100.0, batch_size=None, epochs=12)
    losses = np.append(found.history.steps.loss, LOSS(found.params, blobs.train))
    rates, norms = found.history.steps.learning_rate, found.history.steps.grad_norm
    assert (losses[1:] <= losses[:-1] - 1e-4 * rates * norms**2 + 1e-6).all()
    assert rates.max() > 1.0, "it is not held at its first guess"
    capped = run(blobs, rate_rule="line_search", learning_rate=0.25, batch_size=None, epochs=3)
    np.testing.assert_array_equal(capped.history.steps.learning_rate, [0.25] * 3)


def test_a_rate_from_curvature_is_a_multiple_of_one_over_the_sharpness(blobs: Dataset) -> None:
    params = init_params(NETWORK, key=KEYS.init)
    start = sharpness(params, blobs.train, network=NETWORK).value
    settings = {"learning_rate": 2.0, "batch_size": None, "epochs": 30}
    once = run(blobs, rate_rule="curvature", **settings).history.steps.learning_rate
    np.testing.assert_allclose(once, 2.0 / start, rtol=1e-3)
    again = Rule(name="curvature", every=10)
    found = run(blobs, rate_rule=again, **settings)
    rates = found.history.steps.learning_rate
    assert len(set(rates.tolist())) == 3 and set(np.flatnonzero(np.diff(rates))) == {9, 19}
    descend = jax.jit(
        lambda params: jax.tree.map(
            lambda leaf, grad: leaf - rates[0] * grad, params, jax.grad(LOSS)(params, blobs.train)
        )
    )
    tenth = params
    for _ in range(10):
        tenth = descend(tenth)
    np.testing.assert_allclose(
        rates[10], 2.0 / sharpness(tenth, blobs.train, network=NETWORK).value, rtol=1e-3
    )


def test_a_sweep_and_a_single_run_agree_on_rules_and_reduction(blobs: Dataset) -> None:
    learner = network_learner(NETWORK)
    axes = {
        "rate_rule": ("scheduled", "line_search", Rule(name="curvature", every=7)),
        "reduction": ("sum", "sum", "mean"),
    }
    grid = Grid(axes, zipped=[tuple(axes)])
    cells = sweep(
        lambda key: init_params(NETWORK, key=key),
        blobs,
        grid,
        value_and_grad=learner.value_and_grad,
        evaluate=learner.evaluate,
        vector_product=partial(hessian_vector_product, network=NETWORK),
        learning_rate=0.5,
        batch_size=10,
        epochs=2,
    ).cells.to_pandas()
    assert len(cells) == 3
    for _, cell in cells.iterrows():
        rate = cell["learning_rate"] * (10 if cell["reduction"] == "sum" else 1)
        every = {"every": 7} if cell["rate_rule"] == "curvature" else {}
        rule = Rule.model_validate({"name": cell["rate_rule"], **every})
        alone = run(blobs, rate_rule=rule, learning_rate=rate, epochs=2)
        np.testing.assert_allclose(cell["train_loss"], alone.history.train.loss[-1], rtol=1e-3)


def test_the_sharpness_along_a_sweep_is_the_sharpness(blobs: Dataset) -> None:
    """Of the parameters that are evaluated, which schedule-free doesn't train."""
    tables = sweep(
        None,
        blobs,
        Grid({"learning_rate": (4.0,), "optimizer": ("schedule_free",)}),
        network=NETWORK,
        epochs=40,
        sharpness_iterations=20,
    )
    assert tables.curves is not None
    cells, curves = tables.cells.to_pandas(), tables.curves.to_pandas()
    start = sharpness(init_params(NETWORK, key=KEYS.init), blobs.train, network=NETWORK).value
    np.testing.assert_allclose(cells["sharpness_at_start"], start, rtol=1e-3)
    alone = run(blobs, optimizer="schedule_free", learning_rate=4.0, batch_size=None, epochs=40)
    end = sharpness(alone.params, blobs.train, network=NETWORK).value
    np.testing.assert_allclose(cells["sharpness"], end, rtol=1e-2)
    assert curves[curves["step"] == 40]["sharpness"].tolist() == cells["sharpness"].tolist()


def test_bad_rules_are_refused(blobs: Dataset) -> None:
    with pytest.raises(InputError, match="along the gradient"):
        run(blobs, rate_rule="line_search", optimizer="adam")
    with pytest.raises(ValueError, match="must be above 0"):
        Optimizer(name="schedule_free", b1=0.0)
    with pytest.raises(InputError, match="vector_product"):
        fit(
            init_params(NETWORK, key=KEYS.init),
            blobs,
            key=KEYS.order,
            learning_rate=1.0,
            value_and_grad=network_learner(NETWORK).value_and_grad,
            evaluate=network_learner(NETWORK).evaluate,
            rate_rule="curvature",
        )
    with pytest.raises(InputError, match="'sum'"):
        sweep(None, blobs, Grid({"reduction": ("summed",)}), network=NETWORK)


WITH_A_RATE = {
    "adam": optax.adam(1e-2),
    "a_decay_larger_than_the_gradient": optax.adamw(1e-2, weight_decay=100.0),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "warming_up_from_0": optax.adam(optax.linear_schedule(0.0, 1e-2, 100)),
    "accumulating": optax.MultiSteps(optax.sgd(0.1), 8).gradient_transformation(),
    "finding_its_rate": contrib.prodigy(1.0),
    "of_some_parameters": optax.masked(optax.sgd(0.1), (Layer(True, False), Layer(False, False))),
}
WITHOUT_A_RATE = {
    "adamw": optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(100.0)),
    "turned_round": optax.chain(optax.adam(1e-2), optax.scale(-1)),
    "d_adaptation_turned_round": optax.chain(contrib.dadapt_adamw(1.0), optax.scale(-1)),
    "cocob_turned_round": optax.chain(contrib.cocob(1.0), optax.scale(-1)),
    "accumulating": optax.MultiSteps(optax.identity(), 8).gradient_transformation(),
    "frozen": optax.set_to_zero(),
}


@pytest.mark.parametrize("name", WITH_A_RATE)
def test_an_optimizer_with_its_own_rate_is_refused(blobs: Dataset, name: str) -> None:
    """Before anything has run: what it would do is to climb."""
    message = r"it brings its own rate; .*scale_by_adam\(\), .*optax.scale\(-1\)"
    with pytest.raises(InputError, match=message):
        run(blobs, optimizer=WITH_A_RATE[name])


@pytest.mark.parametrize("name", WITHOUT_A_RATE)
def test_directions_without_a_rate_pass(name: str) -> None:
    check_descends(WITHOUT_A_RATE[name], init_params(NETWORK, key=KEYS.init))


def test_a_sweep_refuses_it_too_and_neither_takes_another_thing(blobs: Dataset) -> None:
    def init(key: jax.Array) -> Any:
        return init_params(NETWORK, key=key)

    grid = Grid({"learning_rate": [1.0], "seed": [0]})
    with pytest.raises(InputError, match="it brings its own rate"):
        own = {"value_and_grad": jax.value_and_grad(LOSS), "optimizer": optax.adam(1e-2)}
        sweep(init, blobs, grid, epochs=1, **own)
    with pytest.raises(InputError, match="got <function adam"):
        check_descends(optax.adam, ())
