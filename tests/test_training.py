"""Training: the same as autodiff and as optax, the same bits again, histories, freezing."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_backprop import (
    Batch,
    Dataset,
    Evaluation,
    InputError,
    Network,
    Penalties,
    evaluate,
    fit,
    init_params,
    load_dataset,
    loss,
    network_learner,
    role_keys,
)
from jax_backprop.derivation.autodiff import autodiff_value_and_grad
from jax_backprop.fields import PrecisionName
from jax_backprop.training import RateRule, epoch_orders, make_learner, make_plan, network_functions
from jax_backprop.training.model import history_tables

NETWORK = Network(layer_sizes=(6, 6, 3))
KEYS = role_keys(0)


def run(data: Dataset, **changes):
    settings = {"network": NETWORK, "learning_rate": 0.5, "batch_size": 10, "epochs": 1} | changes
    params = settings.pop("params", init_params(NETWORK, key=KEYS.init))
    return fit(params, data, key=KEYS.order, **settings)


def assert_close(first, second, rtol: float) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=1e-6), first, second)


@pytest.mark.parametrize("optimizer", ["gradient_descent", "adamw"])
def test_ten_steps_by_hand_and_by_autodiff(blobs: Dataset, optimizer: str) -> None:
    autodiff = autodiff_value_and_grad(NETWORK)
    by_hand = run(blobs, optimizer=optimizer)
    by_autodiff = run(blobs, optimizer=optimizer, value_and_grad=autodiff)
    assert by_hand.history.steps.loss.shape == (10,)
    assert_close(by_hand.params, by_autodiff.params, rtol=1e-4)
    assert_close(by_hand.history.steps.loss, by_autodiff.history.steps.loss, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("gradient_descent", optax.sgd),
        ("heavy_ball", partial(optax.sgd, momentum=0.9)),
        ("nesterov", partial(optax.sgd, momentum=0.9, nesterov=True)),
        ("adam", optax.adam),
        ("adamw", optax.adamw),
    ],
)
def test_ten_steps_against_optax(blobs: Dataset, name: str, theirs) -> None:
    schedule = optax.cosine_decay_schedule(0.05, 10)
    ours = run(blobs, optimizer=name, learning_rate=schedule)
    params = init_params(NETWORK, key=KEYS.init)
    optimizer = theirs(schedule)
    state = optimizer.init(params)
    gradient = jax.jit(jax.grad(partial(loss, network=NETWORK)))
    order = epoch_orders(KEYS.order, 0, epochs=1, examples=104, batch_size=10)
    for rows in np.asarray(order):
        batch = Batch(blobs.train.inputs[rows], blobs.train.labels[rows])
        grads = gradient(params, batch)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    assert_close(ours.params, params, rtol=2e-5)


def test_same_seed_same_bits_whatever_the_segments(blobs: Dataset) -> None:
    first, second = run(blobs, epochs=7), run(blobs, epochs=7)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    for eval_every in (3, 70):
        other = run(blobs, epochs=7, eval_every=eval_every)
        jax.tree.map(np.testing.assert_array_equal, first.params, other.params)
        jax.tree.map(np.testing.assert_array_equal, first.history.steps, other.history.steps)


def test_history_has_every_step_and_every_evaluation(blobs: Dataset) -> None:
    progress = []
    schedule = optax.cosine_decay_schedule(0.5, 50)
    result = run(blobs, epochs=5, learning_rate=schedule, on_progress=progress.append)
    history = result.history
    np.testing.assert_allclose(
        history.steps.learning_rate, [schedule(t) for t in range(50)], rtol=1e-6, atol=1e-7
    )
    assert history.evaluated_at.tolist() == [0, 10, 20, 30, 40, 50]
    expected = loss(result.params, blobs.train, network=NETWORK)
    np.testing.assert_allclose(history.train.loss[-1], expected, rtol=1e-5)
    assert history.validation.accuracy.shape == (6,)
    assert [p.done_steps for p in progress] == [10, 20, 30, 40, 50]
    tables = history_tables(history)
    assert tables["history"].column_names == ["step", "loss", "learning_rate", "grad_norm"]
    assert tables["evaluations"].num_rows == 6
    tenth = run(blobs, epochs=1, eval_every=3).history
    assert tenth.evaluated_at.tolist() == [0, 3, 6, 9, 10]


def test_full_batch_descends_and_reports_the_gradients_norm(blobs: Dataset) -> None:
    history = run(blobs, batch_size=None, epochs=200).history
    assert (np.diff(history.steps.loss) < 0).all()
    np.testing.assert_allclose(history.steps.loss[0], history.train.loss[0], rtol=1e-5)
    grads = jax.grad(partial(loss, network=NETWORK))(
        init_params(NETWORK, key=KEYS.init), blobs.train
    )
    np.testing.assert_allclose(history.steps.grad_norm[0], optax.tree.norm(grads), rtol=1e-5)


def test_epochs_are_permutations_without_the_partial_batch() -> None:
    order = np.asarray(epoch_orders(KEYS.order, 3, epochs=2, examples=105, batch_size=10))
    assert order.shape == (20, 10)
    for epoch in (order[:10], order[10:]):
        assert len(set(epoch.ravel().tolist())) == 100
    assert (order[:10] != order[10:]).any()
    alone = epoch_orders(KEYS.order, 4, epochs=1, examples=105, batch_size=10)
    np.testing.assert_array_equal(order[10:], alone)


def test_rate_rule_and_layer_factors_decide_the_update(blobs: Dataset) -> None:
    halved = RateRule(lambda params: jnp.array(0), lambda n, rate, *_: (rate * 0.5**n, n + 1))
    history = run(blobs, learning_rate=1.0, rate_rule=halved).history
    np.testing.assert_allclose(history.steps.learning_rate, 0.5 ** np.arange(10))
    start = init_params(NETWORK, key=KEYS.init)
    frozen_first = run(blobs, layer_factors=(0.0, 1.0)).params
    jax.tree.map(np.testing.assert_array_equal, frozen_first[0], start[0])
    assert (frozen_first[1].weights != start[1].weights).any()


def test_a_non_finite_loss_freezes_the_run(blobs: Dataset) -> None:
    network = Network(layer_sizes=(6, 6, 3), activation="relu", loss="squared_error")
    result = run(blobs, network=network, learning_rate=1e6, epochs=3)
    losses = result.history.steps.loss
    first = int(np.flatnonzero(~np.isfinite(losses))[0])
    assert 0 < first < 29
    frozen = run(blobs, network=network, learning_rate=1e6, epochs=4)
    jax.tree.map(np.testing.assert_array_equal, result.params, frozen.params)


@pytest.mark.parametrize("precision", ["highest", "default"])
def test_products_have_the_precision_that_is_asked_for(precision: PrecisionName) -> None:
    learner = make_learner(*network_functions(NETWORK, Penalties())[:2], matmul_precision=precision)
    batch = Batch(jnp.ones((4, NETWORK.layer_sizes[0])), jnp.zeros(4, int))
    for function in (learner.value_and_grad, learner.evaluate):
        with jax.default_matmul_precision("default"):
            program = str(jax.make_jaxpr(function)(init_params(NETWORK, key=KEYS.init), batch))
        asked = program.count("Precision.HIGHEST")
        assert "dot_general" in program and bool(asked) == (precision == "highest")


def test_an_evaluation_names_what_it_measures(blobs: Dataset) -> None:
    for found in (jnp.ones(()), Evaluation(jnp.ones(()), jnp.ones(()))):  # pyright: ignore
        with pytest.raises(InputError, match="without names of what was measured"):
            run(blobs, evaluate=lambda params, batch, found=found: found)


def test_frozen_is_for_good(blobs: Dataset) -> None:
    """A loss that is finite again, on another batch, doesn't set a frozen run moving."""

    def nan_once(params, batch: Batch):
        loss_value = params["n"]
        is_first = batch.inputs[0, 0] == first
        return jnp.where(is_first, jnp.nan, loss_value), {"n": jnp.ones(())}

    order = np.asarray(epoch_orders(KEYS.order, 0, epochs=1, examples=104, batch_size=10))
    first = blobs.train.inputs[order[4, 0], 0]  # the fifth batch's first feature

    def measure(params, batch: Batch) -> Evaluation:
        return Evaluation(params["n"])

    result = run(
        blobs,
        params={"n": jnp.zeros(())},
        network=None,
        value_and_grad=nan_once,
        evaluate=measure,
        learning_rate=1.0,
    )
    assert np.isnan(result.history.steps.loss).sum() == 1
    assert result.params["n"] == -4


def test_users_own_functions_and_penalties(blobs: Dataset) -> None:
    penalised = run(blobs, penalties=Penalties(l2=0.1), epochs=3)
    own = jax.value_and_grad(partial(loss, network=NETWORK, penalties=Penalties(l2=0.1)))
    measure = network_learner(NETWORK).evaluate
    theirs = run(blobs, network=None, value_and_grad=own, evaluate=measure, epochs=3)
    assert_close(penalised.params, theirs.params, rtol=1e-4)


def test_float64(blobs: Dataset, x64: None) -> None:
    result = run(blobs, params=init_params(NETWORK, key=KEYS.init))
    assert result.params[0].weights.dtype == result.history.steps.loss.dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 105}, "batch size: got 105; expected 1 to 104"),
        ({"batch_size": 0}, "batch size: got 0"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"learning_rate": float("nan")}, "got nan at step 0"),
        ({"network": Network(layer_sizes=(7, 6, 3))}, r"layer sizes: got \(7, 6, 3\)"),
        ({"network": Network(layer_sizes=(6, 5, 3))}, "params: got leaves"),
        ({"network": None}, "no network"),
    ],
)
def test_bad_arguments(blobs: Dataset, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(blobs, **changes)


def test_plans_cut_steps_into_equal_segments() -> None:
    plan = make_plan(105, batch_size=10, epochs=50)
    assert (plan.steps, plan.period, plan.segments()) == (500, 10, [(2, 10)] * 25)
    full = make_plan(105, batch_size=None, epochs=1000)
    assert full.evaluated_at() == list(range(0, 1001, 10))
    assert make_plan(105, batch_size=None, epochs=7).evaluated_at() == list(range(8))


def test_digits_are_learned_on_each_of_ten_splits() -> None:
    network = Network(layer_sizes=(64, 32, 10))
    params, scores = init_params(network, key=KEYS.init), []
    for split_seed in range(10):
        data = load_dataset("digits", split_seed=split_seed)
        result = fit(
            params,
            data,
            key=KEYS.order,
            network=network,
            learning_rate=4.0,
            schedule="cosine",
            batch_size=32,
            epochs=50,
        )
        scores.append(float(evaluate(result.params, data.test, network=network).accuracy))
    assert min(scores) >= 0.96
