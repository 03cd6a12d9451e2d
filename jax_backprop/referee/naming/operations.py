"""What goes wrong in particular operations: products, masks, indices, sums and broadcasts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from jax_backprop.referee.naming.alterations import alterations
from jax_backprop.referee.naming.context import Candidate, Context, New, alike
from jax_backprop.referee.naming.equations import Equation
from jax_backprop.referee.naming.formulas import product_pulled, slopes, summed_to

BILINEAR = {"dot_general", "mul", "div", "conv_general_dilated"}
# Operands of size 1 along an axis are broadcast by these.
ELEMENTWISE = {"add", "sub", "mul", "div", "max", "min", "broadcast_in_dim"}
COPIED = {"add", "broadcast_in_dim"}  # of them, those that leave their operand as it is
INDEXED = {"gather", "dynamic_slice"}


def of_operation(
    at: Context, number: int, place: int, part: np.ndarray, new: New
) -> Iterator[Candidate]:
    """Yield what an operation of its kind makes likely."""
    each = at.equation(number)
    arriving = at.back.cotangents.get(each.outputs[0])
    if arriving is None:
        return
    if number in at.passes.slopes:
        for text, slope in slopes(at.passes, number, place):
            yield new(text, 1, lambda slope=slope: arriving * slope())
    if each.name in ("select_n", "max", "min") and arriving.shape == part.shape:
        yield new("the mask's other side", 1, lambda: arriving - part)
    if each.name in BILINEAR and len(each.inputs) == 2:
        yield from _product(at, number, place, new)
    if each.name in INDEXED and place == 0:
        yield from _indexed(at, each, part, arriving, new)
    if each.name in ELEMENTWISE:
        yield from _not_summed(at, each, place, part, arriving, new)
    if each.name.startswith("reduce_") and "axes" in each.params:
        yield from _reduced(at, each, part, arriving, new)


def _product(at: Context, number: int, place: int, new: New) -> Iterator[Candidate]:
    """Yield a product's pullback with something else for a factor, or for what arrives."""
    each = at.equation(number)
    other, shape = each.inputs[1 - place], at.values[each.inputs[place]].shape
    value, arriving = at.values[other], at.back.cotangents[each.outputs[0]]

    pulled = partial(_pulled, at, each, place, shape)
    for text, change in alterations(value.shape):
        kind = f"its other operand {text}"
        yield new(kind, 3, lambda change=change: pulled(arriving, np.asarray(change(value))))
    if each.name == "dot_general":
        for text, change in alterations(arriving.shape):
            kind = f"the cotangent that arrives {text}"
            yield new(kind, 4, lambda change=change: pulled(np.asarray(change(arriving)), value))
        for slot in _behind(at, each.outputs[0]):
            kind = f"the cotangent of {at.described(slot)} in place of what arrives"
            yield new(kind, 4, partial(pulled, at.back.cotangents[slot], value), True)
        for kind, wrong in _other_cotangents(at, each):
            yield new(kind, 4, partial(pulled, wrong, value))
    for kind, gradient in _gradients(at, number, place):
        stale = partial(pulled, arriving, gradient)
        yield new(f"its other operand's gradient{kind} in its place", 4, stale)
        text = f"its other operand after an update{kind}"
        yield Candidate(number, place, text, 4, each.inputs[place], stale, True)
    for kind, wrong, anywhere in _other_operands(at, number, 1 - place):
        yield new(kind, 4, partial(pulled, arriving, wrong), anywhere)


def _other_operands(at: Context, number: int, place: int) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Yield what may be taken for an operand, in words that may fit every step of a loop."""
    slot = at.equation(number).inputs[place]
    for other in alike(at, slot):
        yield f"{at.described(other)} in place of its other operand", at.values[other], False
    for other in alike(at, slot, turned=True) if at.values[slot].ndim == 2 else ():
        text = f"{at.described(other)}, transposed, in place of its other operand"
        yield text, at.values[other].T, False
    for before, other in _made_of(at, slot):
        text = f"input {before} of {at.described(slot)} in place of its other operand"
        yield text, at.values[other], True
    for text, other in at.passes.steps_beside(number, place):
        yield f"its other operand {text} in its place", at.values[other], True


def _made_of(at: Context, slot: int) -> Iterator[tuple[int, int]]:
    """Yield the inputs of an array's own equation that have its shape, with their places."""
    if (number := at.passes.numbers.get(slot)) is not None:
        for place, before in enumerate(at.equation(number).inputs):
            value = at.values[before]
            if value.shape == at.values[slot].shape and value.dtype.kind == "f":
                yield place, before


def _behind(at: Context, slot: int) -> Iterator[int]:
    """Yield the arrays that an array alone becomes, one after another, as long as its shape."""
    while len(uses := at.passes.uses.get(slot, [])) == 1:
        (after,) = at.equation(uses[0][0]).outputs[:1]
        if after not in at.back.cotangents or at.values[after].shape != at.values[slot].shape:
            return
        yield after
        slot = after


def _other_cotangents(at: Context, each: Equation) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the cotangents of other arrays that may be taken for what arrives."""
    for slot in alike(at, each.outputs[0]):
        if (wrong := at.passes.base.cotangents.get(slot)) is not None:
            yield f"the cotangent of {at.described(slot)} in place of what arrives", wrong


def _gradients(at: Context, number: int, place: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the gradient of a product's other operand, a parameter: all of it, or by this use."""
    other, whole = at.equation(number).inputs[1 - place], at.passes.base.cotangents
    if other in at.passes.program.leaves and other in whole:
        yield "", whole[other]
        if len(at.passes.uses[other]) > 1:
            yield " by this use", at.passes.base.contributions[number, 1 - place]


def _pulled(
    at: Context,
    each: Equation,
    place: int,
    shape: tuple[int, ...],
    incoming: np.ndarray,
    wrong: np.ndarray,
) -> np.ndarray:
    """Return a product's pullback with these for what arrives and for the other operand."""
    if each.name == "mul":
        return summed_to(np.asarray(incoming * wrong), shape)
    if each.name == "div" and place == 0:
        return summed_to(np.asarray(incoming / wrong), shape)
    if each.name == "dot_general":
        return product_pulled(each, place, incoming, wrong)
    moved = {**at.values, each.inputs[1 - place]: wrong}
    return np.asarray(at.passes.pull_back(each, moved, {each.outputs[0]: incoming})[place])


def _indexed(
    at: Context, each: Equation, part: np.ndarray, arriving: np.ndarray, new: New
) -> Iterator[Candidate]:
    """Yield what happens where an element is taken several times and its parts aren't added."""
    places = np.arange(part.size, dtype=float).reshape(part.shape)
    rest = (at.values[slot] for slot in each.inputs[1:])
    taken = np.asarray(each.apply(places, *rest)[0]).ravel()
    if not np.isfinite(taken).all():
        return
    index, flat = taken.astype(int), arriving.ravel()

    def added(incoming: np.ndarray) -> np.ndarray:
        sums = np.bincount(index, weights=incoming.ravel(), minlength=part.size)
        return sums.reshape(part.shape)

    def written(order: slice) -> np.ndarray:
        wrong = np.zeros(part.size)
        wrong[index[order]] = flat[order]
        return wrong.reshape(part.shape)

    yield new("overwritten for added", 1, lambda: written(slice(None)))
    yield new("overwritten for added, the first stays", 1, lambda: written(slice(None, None, -1)))
    for text, change in alterations(arriving.shape):
        kind = f"the cotangent that arrives {text}"
        yield new(kind, 4, lambda change=change: added(np.asarray(change(arriving))))
    counts = np.maximum(np.bincount(index, minlength=part.size), 1).reshape(part.shape)
    yield new("mean for sum over repeated indices", 1, lambda: part / counts)


def _not_summed(
    at: Context, each: Equation, place: int, part: np.ndarray, arriving: np.ndarray, new: New
) -> Iterator[Candidate]:
    """Yield one of a broadcast's copies where the sum over them belongs."""
    behind = range(arriving.ndim - part.ndim, arriving.ndim)
    kept = each.params.get("broadcast_dimensions", behind)
    sizes = dict(zip(kept, part.shape, strict=True))
    axes = tuple(n for n, size in enumerate(arriving.shape) if sizes.get(n, 1) != size)
    if not axes:
        return
    copies = _copies(at, each, place)
    for text, index in (("first", 0), ("last", -1)):
        one = copies[tuple(index if n in axes else slice(None) for n in range(copies.ndim))]
        kind = f"not summed over the broadcast, the {text} alone"
        yield new(kind, 1, partial(one.reshape, part.shape))
    yield new("the largest for the sum", 4, lambda: copies.max(axis=axes).reshape(part.shape))
    for kind, wrong in _other_cotangents(at, each) if each.name in COPIED else ():
        yield new(kind, 4, lambda wrong=wrong: wrong.sum(axis=axes).reshape(part.shape))


def _copies(at: Context, each: Equation, place: int) -> np.ndarray:
    """Return what arrives at every copy of a broadcast operand, not yet summed."""
    slot, arriving = each.inputs[place], at.back.cotangents[each.outputs[0]]
    if each.name == "broadcast_in_dim":
        return arriving
    whole = {**at.values, slot: np.broadcast_to(at.values[slot], arriving.shape)}
    return np.asarray(at.passes.pull_back(each, whole, at.back.cotangents)[place])


def _spread(at: Context, slot: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield what arrives at the copies of a sum where it is broadcast to its operand's shape."""
    for number, place in at.passes.uses[slot]:
        each = at.equation(number)
        out = at.back.cotangents.get(each.outputs[0])
        if out is None:
            continue
        if each.name in ELEMENTWISE and out.shape == shape != at.values[slot].shape:
            yield _copies(at, each, place)
        elif each.name in ("reshape", "broadcast_in_dim"):
            yield from _spread(at, each.outputs[0], shape)


def _reduced(
    at: Context, each: Equation, part: np.ndarray, arriving: np.ndarray, new: New
) -> Iterator[Candidate]:
    axes = tuple(each.params["axes"])
    spread = np.broadcast_to(np.expand_dims(arriving, axes), part.shape)
    if each.name == "reduce_sum":
        for copies in _spread(at, each.outputs[0], part.shape):
            total = copies.sum(axis=axes, keepdims=True)
            size = np.where(total, total, 1)
            text = "its own element alone where the sum belongs (the diagonal)"
            yield new(text, 1, lambda copies=copies, size=size: part * copies / size)
    else:
        yield new("mask left out", 1, lambda: spread)
        count = np.prod([part.shape[axis] for axis in axes])
        yield new("the mask's other side", 1, lambda: spread - part)
        yield new("spread evenly", 1, lambda: spread / count)
