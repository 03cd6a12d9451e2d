"""The Lanczos iteration with full reorthogonalisation, as pure functions for jit and vmap.

A symmetric matrix A is known by its products alone. From a start q_0 the iteration builds an
orthonormal basis q_0, q_1, ..., each from A times the one before; in it A is tridiagonal. The
eigenvalues of that small matrix (Ritz values) near A's outermost ones first. The i-th largest is at
most A's i-th largest eigenvalue (Cauchy's interlacing). Mostly it is very near long before the
iterations are as many as A's size.

In floating point the three-term recurrence alone loses orthogonality and finds copies of
eigenvalues that aren't there (Paige 1971); here every new vector is orthogonalised against all
before it, twice (Parlett: "twice is enough"). The products are kept beside the basis, so that the
residuals of Ritz vectors come from true products, by linearity, and not from an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Vector: TypeAlias = Float[Array, " size"]
Rows: TypeAlias = Float[Array, "iterations size"]
MatrixVector: TypeAlias = Callable[[Vector], Vector]
Count: TypeAlias = int | Int[Array, ""]


SQUARINGS = 24  # eigenvalues a millionth of the spectrum apart are told apart


class Lanczos(NamedTuple):
    """An iteration under way. How many iterations are done is kept by whoever drives it.

    Args:
      basis: orthonormal rows; zero where not reached yet.
      images: A times each row, once its iteration is done; zero before.
    """

    basis: Rows
    images: Rows


class Ritz(NamedTuple):
    """The largest Ritz values, in falling order, with their vectors and residuals.

    Args:
      values: theta; NaN where A's products aren't finite.
      vectors: of length 1, a row each.
      residuals: |A x - theta x|.
      norm: the largest absolute Ritz value, a lower bound of |A|: the scale of the residuals.
    """

    values: Float[Array, " top"]
    vectors: Float[Array, "top size"]
    residuals: Float[Array, " top"]
    norm: Float[Array, ""]


def start(first: Vector, iterations: int) -> Lanczos:
    """Return an iteration from ``first``, with room for ``iterations`` (at most its size)."""
    empty = jnp.zeros((iterations, first.size), first.dtype)
    return Lanczos(empty.at[0].set(_normalised(first)), empty)


def extend(product: MatrixVector, state: Lanczos, done: Count, stop: Count) -> Lanczos:
    """Iterate until ``stop`` iterations are done; both counts may be traced.

    Where the basis spans an invariant subspace, nothing is left of the next vector. The iteration
    goes on with another one, orthogonal to the basis, and so finds eigenvalues beyond the subspace,
    repeated ones too.
    """

    def iterate(index: Int[Array, ""], state: Lanczos) -> Lanczos:
        image = product(state.basis[index])
        rest = _orthogonalised(image, state.basis)
        length = jnp.linalg.norm(rest)
        broken = length <= 10 * jnp.finfo(image.dtype).eps * jnp.linalg.norm(image)
        following = jax.lax.cond(broken, lambda: _fresh(state.basis, index), lambda: rest / length)
        following = _normalised(_orthogonalised(following, state.basis))
        return Lanczos(
            state.basis.at[index + 1].set(following, mode="drop"),  # the last has no row
            state.images.at[index].set(image),
        )

    return jax.lax.fori_loop(done, stop, iterate, state)


def ritz(state: Lanczos, done: Count, top: int) -> Ritz:
    """Return the ``top`` largest Ritz values after ``done`` iterations (no fewer than ``top``)."""
    reached = jnp.arange(len(state.basis)) < done
    projected = state.basis @ state.images.T
    projected = (projected + projected.T) / 2
    # Rows not reached yet are zero, and so would be their Ritz values: put them below all others.
    # (The row that is next has no image yet, but others' images have a part along it.)
    projected = jnp.where(reached[:, None] & reached[None, :], projected, 0)
    bound = 1 + jnp.max(jnp.sum(jnp.abs(projected), axis=1))
    values, rotation = jnp.linalg.eigh(projected - jnp.diag(jnp.where(reached, 0, 2 * bound)))
    largest, weights = values[::-1][:top], rotation.T[::-1][:top]
    vectors = weights @ state.basis
    residuals = jnp.linalg.norm(weights @ state.images - largest[:, None] * vectors, axis=1)
    norm = jnp.max(jnp.abs(jnp.where(values > -1.5 * bound, values, 0)))
    return Ritz(largest, vectors, residuals, norm)


def largest_ritz_value(state: Lanczos) -> Float[Array, ""]:
    """Return the largest Ritz value of an iteration whose rows are all reached, by products alone.

    The small matrix, shifted to have no negative eigenvalue, is squared again and again: of its
    2^m-th power every column is the largest one's eigenvector. For use inside sweeps, where many
    runs lie side by side on several devices: with eigh here, such a program of 8 runs and 20
    iterations on two devices of a CPU never returned (jaxlib 0.10.2).
    """
    projected = state.basis @ state.images.T
    projected = (projected + projected.T) / 2
    bound = jnp.max(jnp.sum(jnp.abs(projected), axis=1))

    def square(_: Int[Array, ""], power: Rows) -> Rows:
        return (power / jnp.linalg.norm(power)) @ (power / jnp.linalg.norm(power))

    shifted = projected + bound * jnp.eye(len(projected), dtype=projected.dtype)
    power = jax.lax.fori_loop(0, SQUARINGS, square, shifted)
    vector = power @ jnp.ones(len(power), power.dtype)
    vector = _normalised(jnp.where(jnp.linalg.norm(vector) > 0, vector, power[:, 0]))
    return vector @ projected @ vector


def _fresh(basis: Rows, index: Int[Array, ""]) -> Vector:
    """Return a vector orthogonal to the basis: of the start, which is random, a cyclic shift."""
    vector = jnp.roll(basis[0], index + 1)
    for _ in range(2):  # the basis may span nearly everything, so that little of it is left
        vector = _normalised(_orthogonalised(vector, basis))
    return vector


def _orthogonalised(vector: Vector, basis: Rows) -> Vector:
    """Subtract the part that lies in the span of the orthonormal rows."""
    return vector - (basis @ vector) @ basis


def _normalised(vector: Vector) -> Vector:
    return vector / jnp.linalg.norm(vector)
