"""One gradient at one point: what is evaluated, and where."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_backprop.errors import InputError, kind_of
from jax_backprop.referee.arrays import as_array, dtype_of, is_array
from jax_backprop.referee.called import Called, Function, MutationError
from jax_backprop.referee.form import Form, Leaf, described, gradient_leaves
from jax_backprop.referee.programs import Program, Traced, program
from jax_backprop.referee.report import Complaint
from jax_backprop.referee.sizes import near_size
from jax_backprop.referee.subprograms import primitives

Arrays = list[np.ndarray]
EPS32 = float(np.finfo(np.float32).eps)
ITERATED = 1e-4  # relative: what a loop may leave that ends where it is near enough
VALUE = Leaf("loss", -1, 0.0)  # the loss itself, judged like a leaf


class Options(NamedTuple):
    """How a gradient is judged; see ``check_gradient``."""

    has_value: bool = False
    has_aux: bool = False
    initial: bool = False
    precision: str = "highest"
    rtol: float | None = None
    nondeterminism: float | None = None
    order: int = 1
    seed: int = 0

    def gradient_of(self, found: Any) -> Any:
        """Return the gradient in what a function returned, a pair with ``has_value``, ``has_aux``.

        What is no pair comes back as it is.
        """
        if (self.has_value or self.has_aux) and isinstance(found, tuple | list) and len(found) == 2:
            return found[1 if self.has_value else 0]
        return found


class Case(NamedTuple):
    """A loss, a gradient, and a point.

    Args:
      loss, gradient: as they are judged; ``gradient`` gives (value, gradient) with ``has_value``.
      autodiff: value and gradient of the loss by JAX; None where it can't be had, for ``why_not``.
    """

    form: Form
    loss: Program
    gradient: Program
    autodiff: Traced | None
    why_not: str
    options: Options
    loss_function: Function
    gradient_function: Function

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The differentiated leaves."""
        return self.form.floats

    @property
    def judged(self) -> tuple[Leaf, ...]:
        """What the lists in ``Values`` hold: the loss first, where the gradient gives it."""
        return (VALUE, *self.leaves) if self.options.has_value else self.leaves

    @property
    def offset(self) -> int:
        """Where the leaves begin in such a list."""
        return len(self.judged) - len(self.leaves)

    @property
    def iterates(self) -> bool:
        """The loss loops until it is near enough, and so is near enough itself, no more."""
        return (
            self.autodiff is None
            and isinstance(self.loss, Traced)
            and "while" in set(primitives(self.loss.closed.jaxpr))
        )

    @property
    def rtol(self) -> float:
        """The relative error that is allowed beside rounding."""
        given = self.options.rtol
        return (ITERATED if self.iterates else 0.0) if given is None else given

    def moved(self, steps: Sequence[np.ndarray | np.floating]) -> list[Any]:
        """Return all leaves, the differentiated ones moved: in float64."""
        pairs = zip(self.leaves, steps, strict=True)
        return self.form.filled([leaf.array + step for leaf, step in pairs])

    def beside(self, share: float, draws: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return steps to a point beside: draws, a leaf each, times a share of the leaf's size."""
        pairs = zip(self.leaves, draws, strict=True)
        return [np.asarray(share * near_size(leaf.array) * draw) for leaf, draw in pairs]

    def draws(self, seed: int | Sequence[int]) -> list[np.ndarray]:
        """Return random numbers in the shapes of the leaves."""
        generator = np.random.default_rng(seed)
        return [generator.normal(size=np.shape(leaf.value)) for leaf in self.leaves]

    def hand(self, leaves: Sequence[Any], *, wide: bool) -> Arrays | Complaint:
        """Return the judged gradient's arrays, or what is wrong with their form."""
        found = self.gradient.wide(leaves) if wide else self.gradient.narrow(leaves)
        return _parted(found, self.form, self.options)

    def truth(self, leaves: Sequence[Any], *, wide: bool = True) -> Arrays | None:
        """Return autodiff's, None where it can't be asked."""
        if self.autodiff is None:
            return None
        found = self.autodiff.wide(leaves) if wide else self.autodiff.narrow(leaves)
        arrays = [np.asarray(each) for each in found]
        return arrays if self.options.has_value else arrays[1:]

    def line(
        self, directions: dict[int, np.ndarray], at: Sequence[Any] | None = None, loss: Any = None
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the loss, in float64, along a direction: arrays by the number of their leaf."""
        leaves = self.form.leaves if at is None else at
        steps = {self.leaves[number].position: each for number, each in directions.items()}
        own: Any = self.loss if loss is None else loss
        everywhere = {  # a direction that is zero elsewhere: the same program for every leaf
            leaf.position: steps.get(leaf.position, np.zeros(np.shape(leaf.value)))
            for leaf in self.leaves
        }
        moving = steps if isinstance(own, Called) else everywhere

        def along(offsets: np.ndarray) -> np.ndarray:
            return np.asarray([own.on_line(leaves, moving, float(each)) for each in offsets])

        return along


class Values(NamedTuple):
    """Arrays a leaf (the loss first, if the gradient comes with a value); None: not available.

    Args:
      hand, autodiff: in the judged dtype.
      hand64, truth: the same two in float64.
      noise: by how much two calls of the gradient part, relative to a leaf.
      notes: what is worth a mention.
    """

    hand: Arrays
    autodiff: Arrays | None
    hand64: Arrays | None
    truth: Arrays | None
    noise: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Arrays:
        """The judged gradient as precisely as there is one, in float64."""
        chosen = self.hand if self.hand64 is None else self.hand64
        return [np.asarray(each).astype(np.float64) for each in chosen]


def make_case(loss: Function, gradient: Function, form: Form, options: Options) -> Case:
    """Look at functions and point. Raises MutationError: one changes what it is given."""

    def alone(*args: Any, **keywords: Any) -> Any:
        found = loss(*args, **keywords)
        if options.has_aux:
            if not isinstance(found, tuple | list) or len(found) != 2:
                raise InputError(
                    "loss",
                    got=described(found),
                    expected="a pair (value, aux), as has_aux says",
                    remedy="Leave has_aux out.",
                )
            found = found[0]
        return found

    with judged_context(form, options.precision):
        own = _named("loss", lambda: program(alone, form))
        hand = _named("gradient", lambda: program(gradient, form))
        autodiff, why = (None, "") if not own.traceable else _autodiff(alone, own, form)
        return Case(form, own, hand, autodiff, why, options, loss, gradient)


def _named(what: str, make: Callable[[], Program]) -> Program:
    try:
        return make()
    except MutationError as error:
        raise MutationError(f"the {what} is a function that isn't pure: {error}") from None


def _autodiff(loss: Function, own: Program, form: Form) -> tuple[Traced | None, str]:
    def value_and_grad(*args: Any, **keywords: Any) -> Any:
        leaves = jax.tree.leaves((args, keywords))

        def of_floats(floats: list[Any]) -> Any:
            given, named = form.arguments(form.filled(floats, leaves))
            return jnp.asarray(loss(*given, **named))

        value, grads = jax.value_and_grad(of_floats)(
            [leaves[leaf.position] for leaf in form.floats]
        )
        return [value, *grads]

    assert isinstance(own, Traced)
    try:
        return Traced(value_and_grad, form, own.positions, twice=False), ""
    except MutationError:
        raise
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".split(". ")[0].splitlines()[0]


@contextlib.contextmanager
def judged_context(form: Form, precision: str) -> Iterator[None]:
    """Compute as the parameters' dtype asks: in float64 if one of them is."""
    arrays = [leaf.value for leaf in form.floats if is_array(leaf.value)]
    wide = any(dtype_of(each) == np.float64 for each in arrays)
    x64 = jax.enable_x64(wide or bool(jax.config.read("jax_enable_x64")))
    with x64, jax.default_matmul_precision(precision):
        yield


def _parted(found: Any, form: Form, options: Options) -> Arrays | Complaint:
    """Return [value,] gradients from what a gradient function returned."""
    value: list[Any] = []
    if options.has_value or options.has_aux:
        what = "(value, gradient)" if options.has_value else "(gradient, aux)"
        if not isinstance(found, tuple | list) or len(found) != 2:
            return Complaint("structure", f"got {kind_of(found)}; expected a pair {what}")
        if options.has_value:
            first, _ = found
            head = first[0] if options.has_aux and isinstance(first, tuple | list) else first
            if np.shape(head) != () or (not isinstance(head, float | int) and not is_array(head)):
                return Complaint("shape", f"the value has shape {np.shape(head)}; expected ()")
            value = [as_array(head if is_array(head) else float(head))]
    grads = gradient_leaves(form, options.gradient_of(found))
    if isinstance(grads, Complaint):
        return grads
    zeros = [np.zeros(np.shape(leaf.value)) for leaf in form.floats]
    return [*value, *(z if each is None else each for each, z in zip(grads, zeros, strict=True))]
