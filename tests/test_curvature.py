"""Second order by hand: the products before their referees, Lanczos before a library's solver."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from jax_backprop import Batch, InputError, Network, Penalties, init_params
from jax_backprop.curvature import (
    gauss_newton_vector_product,
    hessian_vector_product,
    lanczos,
    sharpness,
)
from jax_backprop.derivation import second_order
from jax_backprop.derivation.problems import Problem, square_network
from jax_backprop.losses import (
    softmax_cross_entropy_backward,
    softmax_cross_entropy_hessian_product,
)

NETWORK = Network(layer_sizes=(5, 4, 3), activation="tanh")
PENALTIES = Penalties(l2=0.01, label_smoothing=0.1)
BATCH = Batch(
    jax.random.normal(jax.random.key(1), (17, 5)),
    jax.random.randint(jax.random.key(2), (17,), 0, 3),
)


def draw(seed: int) -> Any:
    params = init_params(NETWORK, key=jax.random.key(seed))
    return jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases too


PARAMS, DIRECTION = draw(0), draw(7)


@pytest.mark.parametrize("loss_name", ["softmax_cross_entropy", "squared_error"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_right_on_random_networks(activation: Any, loss_name: Any) -> None:
    """Five networks each, 30 in all: products, Taylor slope, sharpness against dense matrices."""
    network = square_network(3, activation, loss_name)
    found = [
        second_order.check(Problem(network, 17, point, PENALTIES, seed))
        for seed, point in [(0, "trained"), *((seed, "initial") for seed in range(4))]
    ]
    assert [each.reason for each in found] == [""] * 5
    assert max(each.sharpness for each in found) < 1e-12
    slopes = np.array([each.slope for each in found])
    assert np.sum(~np.isnan(slopes)) >= 3  # the rest: too few halvings short of a kink
    assert np.nanmin(slopes) > 2.9 and np.nanmax(slopes) < 3.1


def test_right_at_another_depth() -> None:
    problem = Problem(square_network(4, "sigmoid", "softmax_cross_entropy"), 2, "initial")
    assert second_order.check(problem).reason == ""


def no_residual_terms(*args: Any, **kwargs: Any) -> Any:
    return gauss_newton_vector_product(*args, **kwargs)


def a_trillionth_too_large(*args: Any, **kwargs: Any) -> Any:
    product = hessian_vector_product(*args, **kwargs)
    return (product[0]._replace(biases=(1 + 3e-12) * product[0].biases), *product[1:])


@pytest.mark.parametrize("wrong", [no_residual_terms, a_trillionth_too_large])
def test_a_wrong_product_fails(wrong: Any) -> None:
    problem = Problem(NETWORK, 17, "initial", PENALTIES)
    found = second_order.check(problem, hessian_product=wrong)
    assert found.reason == "Hessian product not autodiff's"
    coarse = wrong is not a_trillionth_too_large
    assert (found.slope < 2.5) == coarse  # the Taylor slope alone tells, but for a trillionth


@pytest.mark.parametrize("vector_product", [hessian_vector_product, gauss_newton_vector_product])
def test_blocks_change_nothing(vector_product: Any) -> None:
    product = partial(vector_product, network=NETWORK, penalties=PENALTIES)
    whole, streamed = (
        jax.jit(partial(product, block_size=block_size))(PARAMS, BATCH, DIRECTION)
        for block_size in (None, 5)  # 5: three blocks and a rest
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=3e-6, atol=1e-7), whole, streamed)


def test_streamed_memory_does_not_grow_with_n() -> None:
    network = Network(layer_sizes=(64, 128, 10))
    params = jax.eval_shape(partial(init_params, network), key=jax.random.key(0))

    def temporaries(examples: int) -> int:
        inputs = jax.ShapeDtypeStruct((examples, 64), jnp.float32)
        batch = Batch(inputs, jax.ShapeDtypeStruct((examples,), jnp.int32))
        product = partial(hessian_vector_product, network=network, block_size=1024)
        program = jax.jit(product)
        lowered = program.lower(params, batch, params)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporaries(65_536) <= 1.05 * temporaries(4_096)


def test_gauss_newton_is_the_hessian_of_one_layer_and_positive_elsewhere() -> None:
    one = Network(layer_sizes=(5, 3))
    params, direction = (init_params(one, key=jax.random.key(seed)) for seed in (0, 1))
    products = [
        vector_product(params, BATCH, direction, network=one, penalties=PENALTIES)
        for vector_product in (hessian_vector_product, gauss_newton_vector_product)
    ]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), *products)
    found = sharpness(
        PARAMS, BATCH, network=NETWORK, top=39, vector_product=gauss_newton_vector_product
    )
    assert found.top[-1] > -1e-14 and found.top[0] > 0.1


def test_cross_entropys_curvature_is_accurate_where_training_ends() -> None:
    """As accurate as the gradient's form: at a loss of 1e-6 Y - Y Y^T has lost its digits."""
    logits = jax.random.normal(jax.random.key(0), (17, 5))
    labels = jax.random.randint(jax.random.key(1), (17,), 0, 5)
    logits = logits + 14 * jax.nn.one_hot(labels, 5)
    step = jax.random.normal(jax.random.key(2), (17, 5))
    ours = softmax_cross_entropy_hessian_product(logits, labels, step)
    usual = jax.jvp(lambda z: jax.nn.softmax(z, axis=1), (logits,), (step,))[1]
    with jax.enable_x64(True):
        logits64, step64 = (jnp.asarray(np.asarray(x), jnp.float64) for x in (logits, step))
        gradient = partial(softmax_cross_entropy_backward, labels=labels)
        truth = np.asarray(jax.jvp(gradient, (logits64,), (step64,))[1])
    errors = [np.max(np.abs(found - truth), axis=1) for found in (ours, usual)]
    sizes = np.max(np.abs(truth), axis=1)
    assert np.max(errors[0] / sizes) < 3e-6
    assert np.max(errors[1] / sizes) > 100 * np.max(errors[0] / sizes)
    np.testing.assert_allclose(ours.sum(axis=1) / sizes, 0, atol=1e-6)


def largest(product, first: Any, iterations: int, top: int = 1) -> lanczos.Ritz:
    """Return the largest Ritz values of so many iterations from one start."""
    state = lanczos.extend(product, lanczos.start(first, iterations), 0, iterations)
    return lanczos.ritz(state, iterations, top)


@pytest.fixture(scope="module")
def solve():
    """Run Lanczos to the end of a 40 x 40 matrix: compiled once."""

    @partial(jax.jit, static_argnames="iterations")
    def program(matrix: Any, first: Any, iterations: int = 40) -> Any:
        return largest(lambda x: matrix @ x, first, iterations, top=3)

    def run(matrix: np.ndarray, first: np.ndarray, iterations: int = 40) -> Any:
        with jax.enable_x64(True):
            found = program(jnp.asarray(matrix), jnp.asarray(first), iterations)
            return jax.tree.map(np.asarray, found)

    return run


def rotated(eigenvalues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix with these eigenvalues, and its eigenvectors (columns, in their order)."""
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 40)))[0]
    return (basis * eigenvalues) @ basis.T, basis


SPECTRA = {
    "spread": np.linspace(-1, 1, 40),
    "large and negative": np.concatenate([[-100.0, -50.0], np.linspace(0, 1, 38)]),
    "all negative": -np.geomspace(1e-3, 10, 40),
    "three times the largest": np.concatenate([[2.0] * 3, np.linspace(-1, 1, 37)]),
    "few distinct": np.repeat([-1.0, 0.0, 3.0, 4.0], 10),
    "twelve decades": np.geomspace(1e-8, 1e4, 40),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_lanczos_finds_what_the_librarys_solver_finds(name: str, solve: Any) -> None:
    matrix, _ = rotated(SPECTRA[name])
    found = solve(matrix, np.random.default_rng(0).normal(size=40))
    theirs = np.sort(eigsh(matrix, k=3, which="LA")[0])[::-1]
    size = np.max(np.abs(SPECTRA[name]))
    np.testing.assert_allclose(found.values, theirs, atol=1e-13 * size)
    np.testing.assert_allclose(found.values, np.sort(SPECTRA[name])[-1:-4:-1], atol=1e-13 * size)
    assert found.residuals.max() < 1e-13 * size
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(3), atol=1e-13)
    np.testing.assert_allclose(found.norm, size, rtol=1e-12)


def test_what_a_residual_promises_and_what_not(solve: Any) -> None:
    """An eigenvalue lies within it; that it is the largest depends on the start."""
    spectrum = np.concatenate([[5.0], np.linspace(-1, 1, 39)])
    matrix, vectors = rotated(spectrum)
    first = np.random.default_rng(0).normal(size=40)
    early = solve(matrix, first, iterations=12)
    for value, residual in zip(early.values, early.residuals, strict=True):
        assert np.min(np.abs(spectrum - value)) <= residual
    assert np.all(early.values <= [5.0 + 1e-13, 1.0, spectrum[-2]])  # bounds, each of its own
    unlucky = vectors[:, 20] + vectors[:, 39]  # in the span of two eigenvectors, not the largest's
    missed = solve(matrix, unlucky, iterations=3)
    assert np.any(np.abs(missed.values - 1.0) < 1e-12)
    assert missed.residuals[np.argmin(np.abs(missed.values - 1.0))] < 1e-12


def test_a_long_iteration_stays_orthogonal() -> None:
    """Without reorthogonalisation this spectrum's basis is lost after a dozen iterations."""
    matrix, _ = rotated(SPECTRA["twelve decades"])
    with jax.enable_x64(True):
        first = jnp.asarray(np.random.default_rng(0).normal(size=40))
        state = lanczos.extend(lambda x: jnp.asarray(matrix) @ x, lanczos.start(first, 40), 0, 40)
        np.testing.assert_allclose(state.basis @ state.basis.T, np.eye(40), atol=1e-14)


def test_the_same_within_a_compiled_program_of_float32() -> None:
    """A fixed number of iterations under jit and vmap, for rules that follow the sharpness."""
    networks = [draw(seed) for seed in range(3)]
    stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
    found = [sharpness(params, BATCH, network=NETWORK, penalties=PENALTIES) for params in networks]
    for each in found:
        assert each.converged and each.parameters == 39 and each.top.dtype == np.float64
        assert each.residual <= 1e-6 * each.value
        np.testing.assert_allclose(each.starts, each.value, rtol=1e-9)
    first = jax.random.normal(jax.random.key(0), (39,))

    @jax.jit
    @jax.vmap
    def program(params: Any) -> Any:
        _, unravel = jax.flatten_util.ravel_pytree(params)

        def product(x: jax.Array) -> jax.Array:
            image = hessian_vector_product(
                params, BATCH, unravel(x), network=NETWORK, penalties=PENALTIES
            )
            return jax.flatten_util.ravel_pytree(image)[0]

        return largest(product, first, 20).values[0]

    values = program(stack)
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, [each.value for each in found], rtol=2e-5)


def test_parameters_that_are_not_finite_have_no_sharpness() -> None:
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, PARAMS)
    found = sharpness(broken, BATCH, network=NETWORK)
    assert np.isnan(found.value) and not found.converged and found.iterations == 10


def test_the_same_whatever_the_default_dtype(x64: None) -> None:
    with jax.enable_x64(False):
        single = sharpness(PARAMS, BATCH, network=NETWORK)
    params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), PARAMS)
    assert single.value == sharpness(params, BATCH, network=NETWORK).value
    assert single.value.dtype == np.float64


def test_iterations_are_bounded_and_the_bound_is_the_papers() -> None:
    few = sharpness(PARAMS, BATCH, network=NETWORK, tolerance=0.0, max_iterations=12)
    assert few.iterations == 12 and not few.converged
    bound = 1.648 * 39**0.5 * np.exp(-(0.1**0.5) * 23)
    np.testing.assert_allclose(few.miss_probability(0.1), bound**2)
    assert few.miss_probability(1e-6) == 1  # says nothing
    whole = sharpness(PARAMS, BATCH, network=NETWORK, tolerance=0.0)
    assert whole.iterations == 39 and whole.miss_probability(1e-6) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": Network(layer_sizes=(5, 5, 3))}, r"layer sizes .* got \(5, 4, 3\)"),
        ({"data": Batch(BATCH.inputs[:, :4], BATCH.labels)}, r"inputs: got \(17, 4\)"),
        (
            {"data": Batch(BATCH.inputs, BATCH.labels + 1)},
            "got 3 at example 0; expected classes, integers 0 to 2",
        ),
        ({"data": Batch(BATCH.inputs[:0], BATCH.labels[:0])}, "at least one example"),
        ({"top": 0}, "number of eigenvalues: got 0"),
        ({"top": 40}, "expected 1 to 39"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sharpness(**({"params": PARAMS, "data": BATCH, "network": NETWORK} | change))
