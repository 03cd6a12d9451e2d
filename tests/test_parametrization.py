"""Parametrisations: the tables of the papers, leaf by leaf, and what a training makes of them."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from pydantic import ValidationError

import jax_backprop as jb
from jax_backprop.cli.find_rate import _find
from jax_backprop.parametrization import init_factors, rate_factors
from jax_backprop.study_file import axis_values


class ArrivedError(Exception):
    """What a search was given."""


SIZES = (7, 32, 64, 3)  # widths 2 and 4 times the base


def network(parametrization: str, base_width: int | None = 16) -> jb.Network:
    return jb.Network.model_validate(
        {"layer_sizes": SIZES, "parametrization": parametrization, "base_width": base_width}
    )


# Weights and biases of each layer, from the inputs on; widths over the base are 2 and 4.
TABLE = {
    ("ntk", "gradient_descent"): [(1, 1), (1 / 2, 1), (1 / 4, 1)],
    ("ntk", "adam"): [(1, 1), (2**-0.5, 1), (1 / 2, 1)],
    ("mup", "heavy_ball"): [(2, 2), (2, 4), (1 / 4, 1)],
    ("mup", "adamw"): [(1, 1), (1 / 2, 1), (1 / 4, 1)],
}


@pytest.mark.parametrize(("parametrization", "optimizer"), TABLE)
def test_rate_factors_are_the_papers(parametrization: str, optimizer) -> None:
    found = rate_factors(network(parametrization), jb.Optimizer.model_validate({"name": optimizer}))
    assert found is not None
    np.testing.assert_allclose(found, TABLE[parametrization, optimizer])


def test_the_output_layer_starts_smaller_and_all_else_as_ever() -> None:
    standard = jb.init_params(jb.Network(layer_sizes=SIZES), key=jax.random.key(0))
    params = jb.init_params(network("mup"), key=jax.random.key(0))
    for layer, plain, factor in zip(params, standard, (1, 1, 1 / 2), strict=True):
        np.testing.assert_array_equal(layer.weights, plain.weights * np.float32(factor))
    assert init_factors(network("ntk")) == (1, 1, 1)


def test_at_the_base_width_every_parametrisation_has_the_bits_of_standard(
    blobs: jb.Dataset,
) -> None:
    def final(**more: object) -> list[np.ndarray]:
        net = jb.Network.model_validate({"layer_sizes": (6, 8, 3), **more})
        params = jb.init_params(net, key=jax.random.key(0))
        settings = {"key": jax.random.key(1), "learning_rate": 0.5, "network": net, "epochs": 3}
        return jax.tree.leaves(jb.fit(params, blobs, **settings).params)

    standard = final()
    for name in ("ntk", "mup"):
        for ours, theirs in zip(final(parametrization=name, base_width=8), standard, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        wider = final(parametrization=name, base_width=4)
        assert any((a != b).any() for a, b in zip(wider, standard, strict=True))


def test_a_step_moves_each_array_by_its_own_rate(blobs: jb.Dataset) -> None:
    net = jb.Network(layer_sizes=(6, 32, 3), parametrization="mup", base_width=8)
    params = jb.init_params(net, key=jax.random.key(0))
    _, grads = jb.value_and_grad(params, blobs.train, network=net)
    result = jb.fit(params, blobs, key=jax.random.key(1), learning_rate=0.1, network=net, epochs=1)
    for before, after, grad, factors in zip(
        params, result.params, grads, [(4, 4), (1 / 4, 1)], strict=True
    ):
        for name, factor in zip(("weights", "biases"), factors, strict=True):
            moved = getattr(after, name) - getattr(before, name)
            np.testing.assert_allclose(moved, -0.1 * factor * getattr(grad, name), atol=2e-6)


def test_a_learner_and_a_search_step_by_each_arrays_own_rate(monkeypatch) -> None:
    """As ``fit`` does: the printed command trains with these factors."""
    net = jb.Network(layer_sizes=(4, 8, 3), parametrization="mup", base_width=4)
    params = jb.init_params(net, key=jax.random.key(0))
    direction = jb.network_learner(net).direction
    updates, _ = direction.update(params, direction.init(params), params)
    np.testing.assert_allclose(updates[0].weights, 2 * params[0].weights)
    np.testing.assert_allclose(updates[1].weights, params[1].weights / 2)

    def stop(*_: object, **given: object) -> None:
        raise ArrivedError(given["factors"])

    monkeypatch.setattr("jax_backprop.finding.find_learning_rate", stop)
    run = jb.Run(hidden_sizes=(8,), parametrization="mup", base_width=4)
    data = jb.load_dataset("noise:60,4,3")
    with pytest.raises(ArrivedError) as stopped:
        _find(run, data, 1.0, None, None, None)
    assert stopped.value.args == (rate_factors(net, run.optimizer),)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="base_width"):
        network("mup", None)
    with pytest.raises(ValidationError, match="base_width"):
        network("standard", 16)
    with pytest.raises(ValidationError, match="wider than"):
        network("mup", 33)
    with pytest.raises(jb.InputError, match="beside the optimizer 'dog'"):
        rate_factors(network("mup"), jb.Optimizer(name="dog"))


def test_a_study_compares_parametrisations_beside_one_base_width() -> None:
    """Which the standard one leaves out; and which is refused where no value takes one."""
    said = {"title": "t", "question": "q", "base_width": 4, "hidden_sizes": [8]}
    axes = {"parametrization": ["standard", "mup"], "learning_rate": [0.1, 1.0]}
    study = jb.Study.model_validate({**said, "axes": axes})
    assert study.fixed.base_width == 4
    with pytest.raises(ValidationError, match="base_width: got 4; expected none"):
        jb.Study.model_validate({**said, "axes": {**axes, "parametrization": ["standard"]}})
    with pytest.raises(ValidationError, match="base_width\n"):
        axis_values("base_width", [0, 4])
    widths = {"base_width": [4, 8], "learning_rate": [0.1, 1.0]}
    assert jb.Study.model_validate(
        {"title": "t", "question": "q", "parametrization": "mup", "axes": widths}
    )
