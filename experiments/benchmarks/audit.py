"""How accurate float32 derivatives of jax.nn, jax.scipy.special and optax.losses are, as installed.

Value and gradient of each function at hard points, in float32 against the same function in float64.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import optax.losses
import pandas as pd

from jax_backprop.report.drawing import write_chart
from jax_backprop.storage import write_atomic

EPS = float(np.finfo(np.float32).eps)
LEAST = 1e-12  # below, float64 may have lost its own digits in a difference of terms of about 1
SHOWN = 1000  # eps: a row is shown from here on, in value or gradient
SIZES = (1e-8, 1e-4, 0.01, 0.1, 0.5, 0.9, 1 - 6e-8, 1.0, 1.0001, 1.5, 2.0, 3.0, 5.0, 8.0)
SIZES += (10.0, 15.0, 20.0, 30.0, 50.0, 80.0, 100.0, 1e3, 1e4)
POINTS = tuple(np.float32(sign * size) for size in SIZES for sign in (1, -1))
MODULES: dict[str, ModuleType] = {
    "jax.nn": jax.nn,
    "jax.scipy.special": jax.scipy.special,
    "optax.losses": optax.losses,
}
# What takes more than one number: a call of x, as it is written in the table.
CALLS = {
    "jax.nn": ("log_softmax({v})[0]", "softmax({v})[0]", "logsumexp({v})", "standardize({v})[0]"),
    "jax.scipy.special": (
        *("xlogy(x, x)", "xlog1py(x, x)", "rel_entr(x, 1.0)", "kl_div(x, 1.0)", "zeta(x, 2.0)"),
        *("gammainc(2.0, x)", "gammaincc(2.0, x)", "betaln(x, 2.0)", "polygamma(1, x)"),
        *("betainc(2.0, 3.0, x)", "logsumexp({v})", "boxcox(x, 0.5)", "poch(x, 2.0)"),
    ),
    "optax.losses": (
        *("huber_loss(x)", "l2_loss(x)", "log_cosh(x)", "hinge_loss(x, 1.0)"),
        *("sigmoid_binary_cross_entropy(x, 1.0)", "sigmoid_focal_loss(x, 1.0)"),
        *(
            "softmax_cross_entropy({v}, jnp.eye(3)[0])",
            "poly_loss_cross_entropy({v}, jnp.eye(3)[0])",
        ),
        *("safe_softmax_cross_entropy({v}, jnp.eye(3)[0])", "cosine_similarity({v}, jnp.ones(3))"),
        *("softmax_cross_entropy_with_integer_labels({v}, 0)", "squared_error(x, 1.0)"),
        *("multiclass_hinge_loss({v}, 0)", "sparsemax_loss(x, 1)", "perceptron_loss(x, 1.0)"),
    ),
}
VECTOR = "jnp.array([x, 0.0, 1.0])"


# Functions whose series take XLA minutes to compile in float64.
LEFT_OUT = {"exp1", "expi", "expn", "hyp1f1", "hyp2f1", "fresnel", "wofz", "owens_t", "sici"}
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Seen(NamedTuple):
    """The worst error of one function.

    Args:
      what: "value" or "gradient".
      eps: relative error in eps of float32; inf where float32 gives no number.
      at, got, expected: where it is largest, and both results.
      line: what reproduces it.
    """

    module: str
    name: str
    what: str
    eps: float
    at: float
    got: float
    expected: float
    line: str


def functions() -> Iterator[tuple[str, str, Callable[[Any], Any]]]:
    """Yield each function of one number: module, how it is written, and the function."""
    for name, module in MODULES.items():
        written = [f"{each}(x)" for each in dir(module) if _takes_one(module, each)]
        calls = [each for each in written if name != "optax.losses"] + list(CALLS[name])
        for call in calls:
            text = f"lambda x: {name}.{call.format(v=VECTOR)}"
            yield name, text, eval(text, {"jax": jax, "jnp": jnp, "optax": optax})


def _takes_one(module: ModuleType, name: str) -> bool:
    function = getattr(module, name)
    if (
        name.startswith("_")
        or name in LEFT_OUT
        or not callable(function)
        or isinstance(function, type)
    ):
        return False
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [
        each for each in given if each.default is each.empty and each.kind < each.VAR_POSITIONAL
    ]
    return len(needed) == 1


def errors(module: str, text: str, function: Callable[[Any], Any]) -> Iterator[Seen]:
    """Yield the worst error of a function's value, and of its derivative."""
    for what, asked in (("value", function), ("gradient", jax.grad(function))):
        run = jax.jit(jax.vmap(asked), compiler_options=QUICK)
        try:
            with jax.enable_x64(True):
                truth = np.asarray(run(jnp.asarray(POINTS, jnp.float64)), np.float64)
            found = np.asarray(run(jnp.asarray(POINTS, jnp.float32)), np.float64)
        except Exception:  # it takes no float, or has no derivative
            return
        if truth.shape != found.shape or truth.ndim != 1:
            return
        seen = in_eps(found, truth)
        worst = int(np.argmax(seen))
        called = f"jax.grad({text})" if what == "gradient" else f"({text})"
        at, wanted = float(POINTS[worst]), float(truth[worst])
        # What the line gives is shown: compiled for many numbers a function may err elsewhere.
        got = float(asked(jnp.float32(at))) if seen[worst] >= SHOWN else float(found[worst])
        off = float(in_eps(np.array(got), np.array(wanted)))
        line = f"{called}(jnp.float32({at!r}))"
        yield Seen(module, text.split(": ")[1], what, off, at, got, wanted, line)


def in_eps(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return relative errors in eps where float64 has a number that float32 can hold, else 0."""
    held = np.isfinite(truth) & (np.abs(truth) < 1e38) & (np.abs(truth) > LEAST)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(found - truth) / np.abs(truth) / EPS
    gap = np.where(np.isfinite(found), gap, np.inf)
    return np.where(held, gap, 0.0)


def page(rows: list[Seen], judged: int) -> str:
    """Return the table as a page of the documents."""
    installed = ", ".join(f"{name} {version(name)}" for name in ("jax", "optax", "numpy"))
    lines = [
        "# Float32 derivatives as they are installed",
        "",
        f"`make audit` wrote this page with {installed} on a {jax.default_backend().upper()}.",
        f"It takes values and gradients of {judged} functions at {len(POINTS)} points in float32,",
        "and the same functions in float64 as the truth. A row is the worst point of a value or",
        f"gradient that is off by {SHOWN} eps of float32 or more, relative. At {1 / EPS:.2e} eps",
        "no digit is right: a 0 for a small number, as a rule. inf: float32 gives no number.",
        "",
        f"Results too large for float32 are left out, and results below {LEAST:g}: there float64",
        "may have lost its digits too. So are functions that take minutes to compile:",
        f"{', '.join(sorted(LEFT_OUT))}.",
        "",
        "![Errors in eps](figures/audit.svg)",
        "",
        "| function | of | eps | float32 | float64 | reproduced by |",
        "|---|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| `{row.name.split('(')[0]}` | {row.what} | {row.eps:.3g} | {row.got:.7g} | "
        f"{row.expected:.7g} | `{row.line}` |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def picture(rows: list[Seen]) -> dict[str, Any]:
    """Return the picture's specification: a row's error is a point, functions as in the table."""
    largest = max((row.eps for row in rows if np.isfinite(row.eps)), default=1.0)
    table = pd.DataFrame(
        [
            {
                "function": row.name,
                "of": row.what,
                "module": row.module,
                "eps": min(row.eps, 10 * largest),
                "no number": bool(np.isinf(row.eps)),
            }
            for row in rows
        ]
    )
    order = list(dict.fromkeys(row.name for row in rows))
    decades = [10.0**power for power in range(3, 1 + int(np.ceil(np.log10(10 * largest))))]
    points = (
        alt.Chart(table)
        .mark_point(size=70, strokeWidth=2)
        .encode(
            x=alt.X(
                "eps:Q",
                scale=alt.Scale(type="log", domain=[decades[0], decades[-1]]),
                axis=alt.Axis(values=decades, format=".0e"),
                title="eps of float32; at the line no digit is right",
            ),
            y=alt.Y("function:N", sort=order, title=None, axis=alt.Axis(labelLimit=520)),
            color=alt.Color("of:N", title=None),
            shape=alt.Shape("of:N", title=None),
        )
    )
    lost = alt.Chart(pd.DataFrame({"eps": [1 / EPS]})).mark_rule(color="#888888").encode(x="eps:Q")
    title = f"Relative error in float32, {SHOWN} eps or more (at the right end: no number)"
    return alt.layer(lost, points, title=title).properties(width=520).to_dict()


def main() -> None:
    """Judge all functions; write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True, help="folder of the picture")
    options = parser.parse_args()
    asked: dict[str, list[Seen]] = {}
    for module, text, each in functions():
        print(text, flush=True)
        asked[text] = list(errors(module, text, each))
    seen = [row for rows in asked.values() for row in rows if row.eps >= SHOWN]
    seen.sort(key=lambda row: (-row.eps, row.line))
    judged = sum(bool(rows) for rows in asked.values())
    write_atomic(options.page, page(seen, judged))
    write_chart(options.figures, "audit", picture(seen), ("svg",))
    print(f"{judged} functions, {len(seen)} rows of {SHOWN} eps or more")


if __name__ == "__main__":
    main()
