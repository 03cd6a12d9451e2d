"""The referee for PyTorch: a ``torch.autograd.Function``, or the gradient of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jax_backprop.errors import InputError
from jax_backprop.extras import extras_named
from jax_backprop.referee.arrays import is_tensor
from jax_backprop.referee.checks import BUDGET, check_gradient
from jax_backprop.referee.form import leaf_name
from jax_backprop.referee.report import Complaint, Law, Report, raise_unless_passed
from jax_backprop.referee.rule import NAN, said

if TYPE_CHECKING:
    from torch import Tensor  # pyright: ignore[reportMissingImports]

Tensors = dict[str, "Tensor"]  # by the names that reports give them


def check_torch(
    function: Any,
    *inputs: Any,
    order: int = 1,
    rtol: float | None = None,
    nondeterminism: float | None = None,
    budget: float = BUDGET,
    seed: int = 0,
    **keywords: Any,
) -> Report:
    """Judge the gradient of a PyTorch function or module by differences of its forward pass.

    The gradient that ``torch.autograd`` gives of ``<ct, function(*inputs)>``, for a random ct of
    the outputs' shapes (1 for a single number), is judged in float64 as by ``check_gradient``.
    Each call draws the same random numbers. Buffers, such as running means, aren't changed.

    Args:
      function: a ``torch.autograd.Function`` with a backward of its own, any function of tensors,
        or a module, in the mode that it is in (``train`` or ``eval``).
      inputs: its arguments. Judged are a module's parameters and the inputs that require a
        gradient; where there are none, all inputs of floats.
      order: 2 judges the derivative of the gradient as well.
      rtol, nondeterminism, budget, seed: as for ``check_gradient``.
      keywords: passed on to the function.

    Returns:
      The report, a row a parameter or input.

    Raises:
      InputError: nothing is differentiated, a tensor is complex, or the forward pass fails.

    Example:
      >>> import torch
      >>> from jax_backprop import check_torch
      >>> class Cube(torch.autograd.Function):
      ...     @staticmethod
      ...     def forward(ctx, x):
      ...         ctx.save_for_backward(x)
      ...         return x**3
      ...     @staticmethod
      ...     def backward(ctx, d):
      ...         return 2 * ctx.saved_tensors[0] ** 2 * d
      >>> check_torch(Cube, torch.tensor([1.0, 2.0])).verdict
      'fail'
      >>> check_torch(torch.nn.Linear(3, 2), torch.ones(4, 3)).verdict
      'pass'
    """
    options = {"rtol": rtol, "nondeterminism": nondeterminism, "budget": budget, "seed": seed}
    asked = _Asked.of(function, inputs, keywords, seed)
    try:
        asked.value(asked.judged, asked.rest)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            "function",
            got=said(error),
            expected="a forward pass that runs at the given inputs",
            remedy="Call it once yourself with the same arguments.",
        ) from error
    try:
        asked.gradient(asked.judged, asked.rest)
    except RuntimeError as error:  # torch itself compares shapes and dtypes with the inputs'
        return Report((), complaint=Complaint("structure", said(error)))
    report = check_gradient(asked.value, asked.gradient, asked.judged, asked.rest, **options)
    if order == 1 or report.verdict == "fail":
        return report
    return report._replace(laws=(_second(asked, options),))


def assert_torch(
    function: Any, *inputs: Any, allow_undecided: bool = False, **options: Any
) -> None:
    """Raise AssertionError with the report's text unless ``check_torch`` passes: for pytest.

    Example:
      >>> import torch
      >>> assert_torch(torch.nn.Linear(3, 2), torch.ones(4, 3))
    """
    __tracebackhide__ = True
    raise_unless_passed(check_torch(function, *inputs, **options), allow_undecided)


class _Asked(NamedTuple):
    """A function or module as one number of its judged tensors.

    Args:
      call: of judged and other tensors, what the function returns.
      judged: the tensors whose gradient is judged.
      rest: the other tensors among the inputs.
    """

    call: Callable[[Tensors, list[Tensor]], Any]
    judged: Tensors
    rest: list[Tensor]
    seed: int

    @staticmethod
    def of(function: Any, inputs: Any, keywords: Mapping[str, Any], seed: int) -> _Asked:
        """Take the arguments apart."""
        with extras_named():
            import torch  # pyright: ignore[reportMissingImports]

        pairs, structure = jax.tree_util.tree_flatten_with_path((inputs, dict(keywords)))
        leaves = [leaf for _, leaf in pairs]
        tensors = {n: leaf for n, leaf in enumerate(leaves) if is_tensor(leaf)}
        module = function if isinstance(function, torch.nn.Module) else None
        named = {} if module is None else dict(module.named_parameters())
        judged: Tensors = {n: each for n, each in named.items() if each.requires_grad}
        chosen = _chosen(tensors, bool(judged))
        places = {n: pairs[n][0] for n in chosen}
        names = {
            n: leaf_name(("inputs", "keywords")[path[0].idx], path[1:])
            for n, path in places.items()
        }
        judged |= {name: tensors[n] for n, name in names.items()}
        rest = [n for n in tensors if n not in chosen]
        _refuse_complex(judged)
        run = function.apply if _is_rule(function) else function

        def call(floats: Tensors, others: list[Tensor]) -> Any:
            own = list(leaves)
            for number, other in zip(rest, others, strict=True):
                own[number] = other.clone()
            for number, name in names.items():
                own[number] = floats[name].clone()  # which a forward pass may change
            args, given = jax.tree.unflatten(structure, own)
            if module is None:
                return run(*args, **given)
            state = _state(
                module, wide=all(each.dtype == torch.float64 for each in floats.values())
            )
            mine = {name: each for name, each in floats.items() if name in named}
            return torch.func.functional_call(module, state | mine, args, given)

        detached = {name: each.detach() for name, each in judged.items()}
        return _Asked(call, detached, [tensors[n].detach() for n in rest], seed)

    def value(self, judged: Tensors, rest: list[Tensor]) -> Any:
        """Return <ct, outputs>, the same random numbers being drawn at each call."""
        import torch  # pyright: ignore[reportMissingImports]

        devices = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
        with torch.random.fork_rng(devices), torch.enable_grad():
            for each in (torch.default_generator, *torch.cuda.default_generators[: len(devices)]):
                each.manual_seed(self.seed)
            outputs = [each for each in _tensors(self.call(judged, rest)) if _has_gradient(each)]
        for each in outputs:
            _refuse_complex({"the function's output": each})
        single = len(outputs) == 1 and outputs[0].ndim == 0
        weights = [1.0] if single else _normals(outputs, self.seed)
        return _inner(outputs, weights)

    def gradient(self, judged: Tensors, rest: list[Tensor]) -> dict[str, Any]:
        """Return autograd's gradient of the value."""
        floats = _tracked(judged)
        return _pulled(self.value(floats, rest), floats)


def _chosen(tensors: Mapping[int, Tensor], has_parameters: bool) -> list[int]:
    """Return the places of the inputs that are judged."""
    chosen = [n for n, each in tensors.items() if each.requires_grad]
    if not (has_parameters or chosen):
        chosen = [n for n, each in tensors.items() if _has_gradient(each)]
    if has_parameters or chosen:
        return chosen
    raise InputError(
        "inputs",
        got="no tensor of floats, and no parameter that requires a gradient",
        expected="something to differentiate",
        remedy="Convert integers with .float().",
    )


def _refuse_complex(tensors: Tensors) -> None:
    for name, each in tensors.items():
        if each.is_complex():
            raise InputError(
                name,
                got=f"a tensor of {each.dtype}",
                expected="real numbers",
                remedy="Split complex numbers with torch.view_as_real.",
            )


def _is_rule(function: Any) -> bool:
    import torch  # pyright: ignore[reportMissingImports]

    return isinstance(function, type) and issubclass(function, torch.autograd.Function)


def _has_gradient(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _state(module: Any, *, wide: bool) -> dict[str, Tensor]:
    """Return copies of buffers and frozen parameters, which a forward pass may change."""
    kept = [each for each in module.named_parameters() if not each[1].requires_grad]
    found = {name: each.detach().clone() for name, each in (*kept, *module.named_buffers())}
    return {n: t.double() if wide and t.is_floating_point() else t for n, t in found.items()}


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in what a function returned."""
    if is_tensor(value):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(each)


def _inner(outputs: Any, weights: Any) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    terms = [(out.double() * ct).sum() for out, ct in zip(outputs, weights, strict=True)]
    return sum(terms, torch.zeros((), dtype=torch.float64))


def _normals(like: Any, seed: int) -> list[Any]:
    """Return random numbers of the tensors' shapes, in float64."""
    import torch  # pyright: ignore[reportMissingImports]

    generator = np.random.default_rng(seed)
    return [
        torch.from_numpy(np.asarray(generator.normal(size=tuple(each.shape)))).to(each.device)
        for each in like
    ]


def _tracked(judged: Tensors) -> Tensors:
    return {name: each.detach().clone().requires_grad_() for name, each in judged.items()}


def _pulled(value: Any, floats: Tensors, *, twice: bool = False) -> dict[str, Any]:
    """Return the gradient of a number; None where it doesn't depend on a tensor."""
    import torch  # pyright: ignore[reportMissingImports]

    if not value.requires_grad:
        return dict.fromkeys(floats)
    found = torch.autograd.grad(value, list(floats.values()), allow_unused=True, create_graph=twice)
    dense = [each.to_dense() if each is not None and each.is_sparse else each for each in found]
    return dict(zip(floats, dense, strict=True))


def _second(asked: _Asked, options: dict[str, Any]) -> Law:
    """Judge the derivative of <v, gradient> for a random v."""
    directions = _normals(asked.judged.values(), asked.seed + 1)
    weights = dict(zip(asked.judged, directions, strict=True))

    def slope(judged: Tensors, rest: list[Tensor]) -> tuple[Any, Tensors]:
        floats = _tracked(judged)
        grads = _pulled(asked.value(floats, rest), floats, twice=True)
        known = [name for name, grad in grads.items() if grad is not None]
        return _inner([grads[n] for n in known], [weights[n] for n in known]), floats

    try:
        report = check_gradient(
            lambda *at: slope(*at)[0],
            lambda *at: _pulled(*slope(*at)),
            asked.judged,
            asked.rest,
            **options,
        )
    except InputError as error:
        return Law("second order", "undecided", NAN, f"can't be asked: {error}")
    error = max((row.directional.error for row in report.rows), default=NAN)
    reasons = [report.complaint.message] if report.complaint else []
    reasons += dict.fromkeys(row.reason for row in report.rows if row.verdict == report.verdict)
    # Where both are zero, as of a linear function, there is nothing more to find.
    verdict = "pass" if {row.verdict for row in report.rows} == {"pass"} else report.verdict
    return Law("second order", verdict, error, "; ".join(filter(None, reasons)))
