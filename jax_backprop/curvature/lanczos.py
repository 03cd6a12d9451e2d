"""The Lanczos iteration with full reorthogonalisation, as pure functions for jit and vmap.

A symmetric matrix A is known by its products alone. From a start q_0 the iteration builds an
orthonormal basis q_0, q_1, ... in which A is tridiagonal, T. The eigenvalues of T (Ritz values) near
A's outermost ones first: after k iterations the i-th largest Ritz value is at most A's i-th largest
eigenvalue (Cauchy's interlacing), and mostly very near it long before k is A's size.

In floating point the three-term recurrence alone loses orthogonality and finds copies of
eigenvalues that aren't there (Paige 1971); here every new vector is orthogonalised against all
before it, twice (Parlett: "twice is enough").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Vector: TypeAlias = Float[Array, " size"]
MatrixVector: TypeAlias = Callable[[Vector], Vector]
Count: TypeAlias = int | Int[Array, ""]


class Lanczos(NamedTuple):
    """An iteration under way. How many iterations are done is kept by whoever drives it.

    Args:
      basis: orthonormal rows, zero where not reached yet.
      diagonal, off_diagonal: of T; ``off_diagonal[j]`` couples rows j and j + 1.
    """

    basis: Float[Array, "iterations size"]
    diagonal: Float[Array, " iterations"]
    off_diagonal: Float[Array, " iterations"]


class Ritz(NamedTuple):
    """The largest Ritz values, in falling order, with their vectors and residuals.

    Args:
      values: theta; NaN where A's products aren't finite.
      vectors: of length 1, a row each.
      residuals: |A x - theta x|, computed with a product, not estimated from T.
      norm: the largest absolute Ritz value, a lower bound of |A|: the scale of the residuals.
    """

    values: Float[Array, " top"]
    vectors: Float[Array, "top size"]
    residuals: Float[Array, " top"]
    norm: Float[Array, ""]


def start(first: Vector, iterations: int) -> Lanczos:
    """Return an iteration from ``first``, with room for ``iterations`` (at most its size)."""
    basis = jnp.zeros((iterations, first.size), first.dtype).at[0].set(_normalised(first))
    empty = jnp.zeros(iterations, first.dtype)
    return Lanczos(basis, empty, empty)


def extend(product: MatrixVector, state: Lanczos, done: Count, stop: Count) -> Lanczos:
    """Iterate until ``stop`` iterations are done; both counts may be traced.

    Where the basis spans an invariant subspace, the next vector vanishes, and the iteration goes on
    with another one orthogonal to the basis: T falls into blocks, and eigenvalues beyond the
    subspace, repeated ones too, are found nevertheless.
    """

    def iterate(index: Int[Array, ""], state: Lanczos) -> Lanczos:
        vector = state.basis[index]
        image = product(vector)
        diagonal = state.diagonal.at[index].set(jnp.vdot(vector, image))
        rest = _orthogonalised(image, state.basis)
        length = jnp.linalg.norm(rest)
        eps = jnp.finfo(vector.dtype).eps
        broken = length <= 10 * eps * jnp.linalg.norm(image)
        unit = jax.lax.cond(
            broken,
            lambda: _fresh(state.basis, index),
            lambda: _orthogonalised(rest / length, state.basis),
        )
        return state._replace(
            basis=state.basis.at[index + 1].set(_normalised(unit), mode="drop"),
            diagonal=diagonal,
            off_diagonal=state.off_diagonal.at[index].set(jnp.where(broken, 0, length)),
        )

    return jax.lax.fori_loop(done, stop, iterate, state)


def ritz(product: MatrixVector, state: Lanczos, done: Count, top: int) -> Ritz:
    """Return the ``top`` largest Ritz values after ``done`` iterations, at least ``top`` of them."""
    rows = jnp.arange(len(state.diagonal))
    # What wasn't reached yet is put below all that was: T's norm is at most its largest row sum.
    coupling = jnp.where(rows < done - 1, state.off_diagonal, 0)
    bound = 1 + jnp.max(jnp.abs(state.diagonal)) + 2 * jnp.max(jnp.abs(coupling))
    diagonal = jnp.where(rows < done, state.diagonal, -2 * bound)
    matrix = jnp.diag(diagonal) + jnp.diag(coupling[:-1], 1) + jnp.diag(coupling[:-1], -1)
    values, rotation = jnp.linalg.eigh(matrix)
    largest = values[::-1][:top]
    vectors = (rotation.T[::-1][:top]) @ state.basis
    residuals = jnp.linalg.norm(jax.vmap(product)(vectors) - largest[:, None] * vectors, axis=1)
    reached = jnp.where(values > -1.5 * bound, values, 0)
    return Ritz(largest, vectors, residuals, jnp.max(jnp.abs(reached)))


def largest_eigenvalues(
    product: MatrixVector, first: Vector, *, iterations: int, top: int = 1
) -> Ritz:
    """Run a fixed number of iterations from one start: for use inside a compiled program.

    Args:
      product: x -> A x; linear and symmetric.
      first: a random vector, of A's size and in the products' dtype. Normal numbers are best: their
        direction is uniform, as the bounds for random starts ask.
      iterations: at most A's size; they, and ``top``, are static.
    """
    state = extend(product, start(first, iterations), 0, iterations)
    return ritz(product, state, iterations, top)


def _fresh(basis: Float[Array, "iterations size"], index: Int[Array, ""]) -> Vector:
    """Return a vector orthogonal to the basis: of the start, which is random, a cyclic shift."""
    vector = jnp.roll(basis[0], index + 1)
    for _ in range(3):  # the basis may span nearly everything, so that little of it is left
        vector = _normalised(_orthogonalised(vector, basis))
    return vector


def _orthogonalised(vector: Vector, basis: Float[Array, "iterations size"]) -> Vector:
    """Subtract the part that lies in the span of the orthonormal rows."""
    return vector - (basis @ vector) @ basis


def _normalised(vector: Vector) -> Vector:
    return vector / jnp.linalg.norm(vector)
