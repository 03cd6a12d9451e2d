"""Scaling inside the compiled program: the numbers of scaling before, and never all at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_backprop import (
    Batch,
    Dataset,
    InputError,
    Network,
    evaluate,
    fit,
    forward,
    init_params,
    load_dataset,
    make_dataset,
    network_learner,
    role_keys,
    value_and_grad,
)
from jax_backprop.data.features import standardizing
from jax_backprop.derivation.autodiff import autodiff_value_and_grad
from jax_backprop.errors import DataWarning
from jax_backprop.training import Learner, RateRule, with_scaling
from jax_backprop.training.learner import cached_learner
from jax_backprop.types import Scaling

pytestmark = pytest.mark.optimized
NETWORK = Network(layer_sizes=(6, 6, 3))
KEYS = role_keys(0)
GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (300, 6), np.uint8)
LABELS = np.tile(np.arange(3), 100)
BY_FEATURE = Scaling((0.1, 0.2, 0.3, 0.0, 0.5, 0.6), (1.0, -1.0, 0.5, 0.0, 2.0, 3.0))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return make_dataset(PIXELS, LABELS)


def train(dataset: Dataset, **changes):
    settings = {"network": NETWORK, "learning_rate": 0.5, "batch_size": 30, "epochs": 1} | changes
    return fit(init_params(NETWORK, key=KEYS.init), dataset, key=KEYS.order, **settings)


def before(data: Dataset, scaling: Scaling) -> Dataset:
    """Return the data set with its features scaled on the host, in float64, then rounded."""
    factor, offset = (np.asarray(part) for part in scaling)
    splits = {
        name: Batch((split.inputs * factor + offset).astype(np.float32), split.labels)
        for name, split in data.splits.items()
    }
    return make_dataset(*splits.pop("train")[:2], **{k: v[:2] for k, v in splits.items()})


def assert_close(first, second) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6), first, second)


def test_bytes_stay_bytes_and_train_as_scaled_floats_do(data: Dataset) -> None:
    assert data.train.inputs.dtype == np.uint8 and data.scaling == Scaling(1 / 255)
    assert_close(train(data), train(before(data, data.scaling)))


def test_scaling_by_feature_over_several_blocks() -> None:
    params = init_params(NETWORK, key=KEYS.init)
    batch = Batch(jnp.asarray(PIXELS), jnp.asarray(LABELS))
    factor, offset = (jnp.asarray(part)[None, :] for part in BY_FEATURE)
    scaled_batch = Batch(factor * batch.inputs + offset, batch.labels)
    for function in (value_and_grad, evaluate):
        blocks = partial(function, network=NETWORK, block_size=128)  # the last of 44
        inside = jax.jit(partial(blocks, scaling=BY_FEATURE))(params, batch)
        assert_close(inside, jax.jit(blocks)(params, scaled_batch))


def test_any_functions_batch_is_scaled_and_a_rate_rules_too() -> None:
    seen: dict[str, np.ndarray] = {}

    def remember(name: str, result):
        def function(*args):
            seen[name] = np.asarray(args[-1].inputs)
            return result

        return function

    learner = Learner(
        remember("value_and_grad", ()),
        remember("evaluate", ()),
        rate_rule=RateRule(lambda params: (), remember("rate_rule", (jnp.ones(()), ()))),
    )
    inside = with_scaling(learner, Scaling(2.0, 1.0))
    batch = Batch(PIXELS[:4], LABELS[:4])
    inside.value_and_grad((), batch)
    inside.evaluate((), batch)
    inside.rate_rule.update((), jnp.ones(()), jnp.ones(()), (), (), batch)
    assert set(seen) == {"value_and_grad", "evaluate", "rate_rule"}
    for inputs in seen.values():
        np.testing.assert_array_equal(inputs, 2.0 * PIXELS[:4] + 1)


def test_the_same_learner_again_so_that_nothing_compiles_twice() -> None:
    def scaled(scaling: Scaling) -> Learner:
        return cached_learner(network_learner(NETWORK).value_and_grad, scaling=scaling)

    assert with_scaling(network_learner(NETWORK), Scaling()) is network_learner(NETWORK)
    assert scaled(Scaling(0.5)) is scaled(Scaling(0.5))
    assert scaled(BY_FEATURE) is scaled(Scaling(*BY_FEATURE))
    assert scaled(Scaling(0.5)) is not scaled(Scaling(0.25))


@pytest.mark.parametrize("scaling", [Scaling(1 / 255), Scaling((1 / 255,) * 784, (0.5,) * 784)])
def test_sixty_thousand_images_are_never_floats_all_at_once(scaling: Scaling) -> None:
    """By the compiled program's own account; as float32 they would take 188 MB."""
    network = Network(layer_sizes=(784, 128, 10))
    params = jax.eval_shape(lambda: init_params(network, key=KEYS.init))
    images = Batch(
        jax.ShapeDtypeStruct((60_000, 784), jnp.uint8), jax.ShapeDtypeStruct((60_000,), jnp.int32)
    )

    def temporaries(learner: Learner) -> float:
        program = jax.jit(learner.value_and_grad).lower(params, images).compile()
        return program.memory_analysis().temp_size_in_bytes / 1e6

    assert temporaries(with_scaling(network_learner(network), scaling)) < 8
    if isinstance(scaling.factor, float):  # the test can fail: autodiff's whole batch does
        whole = autodiff_value_and_grad(network)
        learner = network_learner(network)._replace(value_and_grad=whole)
        assert temporaries(with_scaling(learner, scaling)) > 188


def test_standardization_by_train_alone() -> None:
    inputs = np.concatenate([PIXELS, np.full((300, 2), [7, 0], np.uint8)], axis=1)
    with pytest.warns(DataWarning, match=r"features 6, 7 \(of 8\) are constant"):
        data = make_dataset(inputs, LABELS, standardize=True)
        shifted = make_dataset(
            inputs, LABELS, test=(inputs[:30] + np.uint8(1), LABELS[:30]), standardize=True
        )
    for found in (data, shifted):
        train = np.asarray(found.scaling.apply(found.train.inputs))
        np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(train.std(axis=0), [*[1] * 6, 0, 0], atol=1e-5)
    assert data.name == "arrays,standardize" and data.train.inputs.dtype == np.uint8
    raw = np.concatenate([split.inputs for split in data.splits.values()])
    assert standardizing(data.train.inputs) == data.scaling != standardizing(raw)
    # A feature that is constant in train says nothing, whatever it is elsewhere.
    constant = np.asarray(shifted.scaling.apply(shifted.test.inputs))[:, -2:]
    np.testing.assert_array_equal(constant, 0)


def test_standardization_of_large_offsets() -> None:
    """Where the mean of squares minus the square of the mean has no digits left."""
    inputs = np.float64(1e8) + GENERATOR.normal(size=(9000, 2))
    factor, offset = standardizing(inputs)
    np.testing.assert_allclose(1 / np.array(factor), inputs.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.array(offset), -inputs.mean(0) / inputs.std(0), rtol=1e-6)


def test_features_are_scaled_before_they_are_cast(tmp_path: Path) -> None:
    """Timestamps a second apart are one number as float32; standardized first they stay apart."""
    seconds = 1_700_000_000 + np.arange(60)
    table = np.stack([seconds, np.arange(60), np.full(60, 5)], axis=1)
    labels = np.arange(60) % 3
    for given in (table, table.astype(np.float64)):
        with pytest.warns(DataWarning, match=r"features 2 \(of 3\) are constant"):
            data = make_dataset(given, labels, standardize=True)
        train = np.asarray(data.train.inputs)
        assert train.dtype == np.float32 and data.scaling == Scaling()
        assert len(np.unique(train[:, 0])) == len(train)
        np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(train.std(axis=0), [1, 1, 0], atol=1e-6)
        np.testing.assert_allclose(train[:, 0], train[:, 1], atol=1e-6)
    rows = ["stamp,count,same,kind", *(f"{a},{b},{c},k{b % 3}" for a, b, c in table)]
    path = tmp_path / "stamps.csv"
    path.write_text("\n".join(rows))
    with pytest.warns(DataWarning, match="constant"):
        same = load_dataset(f"csv:{path},label=kind,relabel,standardize")
    np.testing.assert_array_equal(same.train.inputs, data.train.inputs)
    name = f"csv:{path},label=kind,relabel"
    for load in (lambda: make_dataset(table, labels), lambda: load_dataset(name)):
        with pytest.warns(DataWarning, match=r"features 0 \(of 3\) differ, but not as float32"):
            load()
    with pytest.warns(DataWarning, match=r"features 1 .* integers above 2\^24"):
        make_dataset(table[:, 1:2] * [1, 3] + [0, 2**24], labels)


def test_digits_are_as_they_were() -> None:
    data = load_dataset("digits")
    assert data.scaling == Scaling() and data.train.inputs.dtype == np.float32
    assert data.checksum.startswith("cf7e26e57b05ca0d")
    with pytest.warns(DataWarning, match="are constant"):
        assert load_dataset("digits,standardize").checksum == data.checksum


def test_integers_that_nobody_scaled_are_refused() -> None:
    params = init_params(NETWORK, key=KEYS.init)
    with pytest.raises(InputError, match=r"uint8, which is not scaled.*scaling=data.scaling"):
        forward(params, jnp.asarray(PIXELS), network=NETWORK)
