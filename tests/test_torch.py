"""The referee on PyTorch: rules, modules, and tensors wherever arrays are taken."""

from __future__ import annotations

from typing import Any

import pytest

from jax_backprop import InputError, assert_torch, check_gradient, check_torch

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def rule(forward: Any, backward: Any) -> Any:
    """Return a ``torch.autograd.Function`` that saves its inputs."""

    def saving(ctx: Any, *inputs: Any) -> Any:
        ctx.save_for_backward(*inputs)
        return forward(*inputs)

    def pulled(ctx: Any, *cotangents: Any) -> Any:
        return backward(*ctx.saved_tensors, *cotangents)

    methods = {"forward": staticmethod(saving), "backward": staticmethod(pulled)}
    return type("Rule", (torch.autograd.Function,), methods)


def cube(backward: Any) -> Any:
    return rule(lambda x: x**3, backward)


def locked(backward: Any) -> Any:
    """Return a rule of the sine that refuses any dtype but float32."""

    def sine(x: Any) -> Any:
        if x.dtype != torch.float32:
            raise TypeError("float32 alone")
        return torch.sin(x)

    return rule(sine, backward)


def picked(backward: Any) -> Any:
    return rule(lambda x, rows: x[rows], backward)


X = torch.tensor([[0.3, -1.2, 0.8], [1.1, 0.4, -0.6]])
ROWS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_rule_is_judged_in_its_dtype(dtype: Any) -> None:
    x = X.to(dtype)
    assert check_torch(cube(lambda x, d: 3 * x**2 * d), x).verdict == "pass"
    wrong = check_torch(cube(lambda x, d: 2 * x**2 * d), x)
    assert wrong.verdict == "fail"
    assert [each.bug for each in wrong.diagnosis] == ["factor"]
    assert wrong.rows[0].path == "params.inputs.0"


@pytest.mark.parametrize(
    ("made", "inputs", "verdict"),
    [
        (
            rule(lambda x, y: (x * y, x + y), lambda x, y, d, e: (d * y + e, d * x + e)),
            (X, X + 1),
            0,
        ),
        (rule(lambda x, y: (x * y, x + y), lambda x, y, d, e: (d * y, d * x)), (X, X + 1), 1),
        (picked(lambda x, i, d: (torch.zeros_like(x).index_add(0, i, d), None)), (X, ROWS), 0),
        (picked(lambda x, i, d: (torch.zeros_like(x).index_put((i,), d), None)), (X, ROWS), 1),
        (locked(lambda x, d: torch.cos(x) * d), (X,), 0),
        (locked(lambda x, d: 1.05 * torch.cos(x) * d), (X,), 1),
        (rule(torch.round, lambda x, d: d), (X,), 1),  # straight through
        (cube(lambda x, d: (3 * x**2 * d)[:1]), (X,), 1),  # another shape
        (torch.relu, (torch.tensor([0.0, 1.0, -1.0]),), 0),  # at its kink
        (lambda x: torch.ones(2), (X,), 2),  # nothing to compare
    ],
)
def test_rules_of_every_kind(made: Any, inputs: Any, verdict: int) -> None:
    before = [each.clone() for each in inputs]
    assert check_torch(made, *inputs).verdict == ("pass", "fail", "undecided")[verdict]
    assert all(torch.equal(one, other) for one, other in zip(inputs, before, strict=True))


class Small(nn.Module):
    """Batch norm and dropout in training, a frozen parameter, an unused one, and integers."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(4, 3), nn.BatchNorm1d(3)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.unused, self.activation = nn.Linear(2, 1), activation

    def forward(self, index: Any) -> Any:
        """Return one number."""
        outputs = self.activation(self.norm(self.table(index) * self.frozen))
        return nn.functional.dropout(outputs, 0.5).sum()


def test_a_module_is_judged_as_it_trains_and_stays_as_it_is() -> None:
    index = torch.tensor([0, 2, 2, 3])
    right, wrong = Small(torch.tanh), Small(cube(lambda x, d: 2 * x**2 * d).apply)
    before = {name: each.clone() for name, each in right.state_dict().items()}
    report = check_torch(right, index)
    assert report.verdict == "pass"
    assert {row.path for row in report.rows} == {
        f"params.{name}" for name, each in right.named_parameters() if each.requires_grad
    }
    assert all(torch.equal(each, before[name]) for name, each in right.state_dict().items())
    rows = {row.path: row.verdict for row in check_torch(wrong, index).rows}
    assert [rows[f"params.{name}"] for name in ("table.weight", "unused.bias")] == ["fail", "pass"]


def test_second_derivatives_are_judged_where_they_are_asked_for() -> None:
    right = cube(lambda x, d: 3 * x**2 * d)
    held = cube(lambda x, d: 3 * x.detach() ** 2 * d)
    assert check_torch(right, X, order=2).passed
    assert check_torch(nn.Linear(3, 2), X, order=2).passed
    assert check_torch(held, X).passed
    assert check_torch(held, X, order=2).verdict == "fail"


@pytest.mark.parametrize(
    ("function", "x", "message"),
    [
        (torch.abs, X + 0j, r"a tensor of torch.complex64; expected real"),
        (torch.fft.fft, X, r"a tensor of torch.complex64; expected real"),
        (torch.square, ROWS, "no tensor of floats"),
        (lambda x: x @ x, X, "RuntimeError"),
    ],
)
def test_what_cannot_be_judged_is_said_in_one_line(function: Any, x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_torch(function, x)


def test_tensors_are_taken_wherever_arrays_are() -> None:
    def loss(params: Any, scale: Any) -> Any:
        return (params["x"] ** 2 * scale).sum()

    point = {"x": X.clone().requires_grad_()}
    assert check_gradient(loss, torch.func.grad(loss), point, X).passed
    assert not check_gradient(loss, lambda p, s: {"x": p["x"] * s}, point, X).passed
    with pytest.raises(AssertionError, match="verdict: FAIL"):
        assert_torch(cube(lambda x, d: -3 * x**2 * d), X)
