"""``check``: anybody's gradient before the referee."""

from __future__ import annotations

import contextlib
import importlib
import json as jsonlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.flags import MaybeFile
from jax_backprop.errors import InputError, did_you_mean, kind_of
from jax_backprop.parsing import MOST_SEED, check_number

if TYPE_CHECKING:
    from jax_backprop.referee import Report

Target = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODULE:NAME")]
# Columns that a narrow terminal does without; the page and the JSON have them.
LEFT_OUT = ("dtype", "rinf", "judged", "expected", "shape", "worst at")
STYLES = {"pass": "green", "fail": "red", "undecided": "yellow"}


def check(
    loss: Target,
    gradient: Target,
    /,
    example: Annotated[str, tyro.conf.arg(metavar="MODULE:NAME")],
    value_and_grad: bool = False,
    initial: bool = False,
    budget: float = 60.0,
    seed: int = 0,
    json: MaybeFile = None,
    html: MaybeFile = None,
) -> None:
    """Check your own gradient; exit code 0 if right, 1 if wrong, 2 if it can't be judged.

    It is compared leaf by leaf with autodiff (in its own dtype and in float64), with central
    differences and with Taylor slopes; functions that JAX can't trace, with the last two. A wrong
    gradient gets the likely bug named. A complete module to start from, my_module.py:

      import jax.numpy as jnp

      def loss(params, inputs, targets):
          errors = inputs @ params["weights"] + params["biases"] - targets
          return jnp.mean(errors**2)

      def gradient(params, inputs, targets):
          errors = inputs @ params["weights"] + params["biases"] - targets
          d_outputs = 2 * errors / errors.size
          return {"weights": inputs.T @ d_outputs, "biases": d_outputs.sum(axis=0)}

      def example():
          params = {"weights": jnp.ones((3, 2)) / 3, "biases": jnp.zeros(2)}
          return params, jnp.arange(12.0).reshape(4, 3), jnp.ones((4, 2))

    and: jax-backprop check my_module:loss my_module:gradient --example my_module:example

    A folder instead (jax-backprop check FOLDER) is taken as students' submissions: see
    jax-backprop mark --help.

    In a test: jax_backprop.assert_gradient(loss, gradient, *example()).

    Args:
      loss: Function of (params, *args) that returns one number; found as `import` would from here.
      gradient: Function of (params, *args) that returns a gradient with the structure of params.
      example: The point: a tuple (params, *args), or a function without arguments that returns one.
      value_and_grad: The gradient function returns a pair (value, gradient).
      initial: The point is an initial one: agreement with autodiff in the same dtype within 64 eps
        is asked for as well.
      budget: Seconds that the check may take; the report says what wasn't reached.
      seed: Of the random directions.
      json: Write the report to this file as JSON.
      html: Write the report to this file as a page.
    """
    check_number("--budget, in seconds", budget, 0, 86_400)
    check_number("--seed", seed, 0, MOST_SEED)
    sys.path.insert(0, os.getcwd())
    from jax_backprop.referee import check_gradient
    from jax_backprop.referee import check_value_and_grad as check_pair

    with _staying(), console.progress("directions") as advance:
        judged, hand = (_function(target) for target in (loss, gradient))
        params, *args = _example(example)
        report = (check_pair if value_and_grad else check_gradient)(
            judged,
            hand,
            params,
            *args,
            initial=initial,
            budget=budget,
            seed=seed,
            on_progress=lambda done, total, leaf: advance(done, leaf, total),
        )
    _write(report, f"{gradient} as the gradient of {loss}", json, html)
    _print(report, f"{gradient} as the gradient of {loss}")
    if not report.passed:
        sys.exit(1 if report.verdict == "fail" else 2)


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Refuse code that ends the process: its exit code would pass for the verdict."""
    try:
        yield
    except SystemExit as stop:
        raise InputError(
            "the code to check",
            got=f"an exit with code {stop.code}",
            expected="functions that return",
            remedy="Leave the exit out, or put it below `if __name__ == '__main__':`.",
        ) from None


def _target(target: str) -> Any:
    """Return the object that MODULE:NAME names, or raise InputError saying which part is wrong."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise InputError(
            "target",
            got=repr(target),
            expected="MODULE:NAME, such as my_module:loss",
            remedy="Name the module without .py, a colon, and the function.",
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_name
        file = f" {module_name.removesuffix('.py')}.py" if missing else ""
        raise InputError(
            f"module {module_name!r}",
            got=f"{type(error).__name__}: {error}",
            expected="a module that can be imported from here",
            remedy=f"Run from the folder that holds{file or ' it'}, or mend the module.",
        ) from error
    if not hasattr(module, name):
        public = [each for each in vars(module) if not each.startswith("_")]
        raise InputError(
            f"module {module_name!r}",
            got=f"no attribute {name!r}",
            expected="a function of that name",
            remedy=did_you_mean(name, public) if public else "Add it.",
        )
    return getattr(module, name)


def _function(target: str) -> Any:
    found = _target(target)
    if not callable(found):
        raise InputError(
            target,
            got=kind_of(found),
            expected="a function of (params, *args)",
            remedy="Name a function.",
        )
    return found


def _example(target: str) -> tuple[Any, ...]:
    found = _target(target)
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(
                target,
                got=f"{type(error).__name__}: {error}",
                expected="a function without arguments that returns (params, *args)",
                remedy="Call it once yourself.",
            ) from error
    # A NamedTuple is more likely the parameters themselves than a tuple of arguments.
    if not isinstance(found, tuple) or hasattr(found, "_fields") or not found:
        raise InputError(
            target,
            got=kind_of(found),
            expected="a tuple (params, *args), or a function that returns one",
            remedy="Where there are no further arguments, return (params,).",
        )
    return found


def _write(report: Report, title: str, json: Path | None, html: Path | None) -> None:
    from jax_backprop.storage import write_atomic

    if json is not None:
        write_atomic(json, jsonlib.dumps({"title": title} | report.to_dict(), indent=1) + "\n")
    if html is not None:
        from jax_backprop.report.gradient import gradient_page

        write_atomic(html, gradient_page(report, title))


def _print(report: Report, title: str) -> None:
    if report.rows:
        console.out.print(_table(report, title))
    for row in report.rows:
        if row.reason:
            console.say(f"{row.path}: {row.reason}")
    for line in report.remarks():
        console.say(line)
    console.say(report.summary())


def _table(report: Report, title: str) -> Any:
    """Return a row a leaf; why a leaf got its verdict stands below, where there is room."""
    from rich.text import Text

    from jax_backprop.cli.tables import Table
    from jax_backprop.referee.report import HEADS, cells

    kept = [number for number, head in enumerate(HEADS) if head != "why"]
    rows = [
        [Text(cells(row)[n], style=STYLES.get(cells(row)[n], "")) for n in kept]
        for row in report.rows
    ]
    heads = [HEADS[number] for number in kept]
    return Table(heads, rows, title=title, texts=("leaf",), dropped=LEFT_OUT)
