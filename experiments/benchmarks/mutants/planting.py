"""Planting: the hand-written gradient of the package with one small edit of its source.

A mutant is a few replacements in the text of the files that hold the gradient. Each replaced text
has to be there exactly once, so that a catalogue that no longer fits the source says so.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

# In the order of imports: what a later file imports from an earlier one is the mutated object.
MODULES = ("activations", "losses.classes", "losses.table", "losses", "network", "backprop")

# The loss's own lines, by a part of each: what a mistake's backward belongs to.
LINES = {
    "layer": ("+ layer.biases[None, :]",),
    "activation": ("jax.nn.sigmoid(pre_activations)", "jnp.tanh(pre_activations)"),
    "loss": ("label_logits", "margins", "others.", "+ smoothing", "losses = LOSSES"),
    "mean": ("losses = LOSSES", "mean = jnp.mean(losses", "return mean + l2_penalty"),
    "penalty": ("layer.weights**2", "0.5 * l2 *", "return mean + l2_penalty"),
}


@dataclass(frozen=True)
class Edit:
    """Replace ``old`` by ``new`` in a file of the package."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Args:
      name: unique, in snake case.
      what: the mistake, in a few words.
      edits: its place in the source.
      right: what a reviewer would accept as its place: groups of the loss's lines, of LINES; or a
        pattern's name, where the mistake is in the finished arrays. More than one where one array
        has two honest readings.
      of_set: 1 if written before the first diagnosis was frozen, 2 if after, 3 if after it was
        frozen again, by somebody who had not seen it; 4 if beside it, one for each kind it knew.
    """

    name: str
    what: str
    edits: tuple[Edit, ...]
    right: tuple[str, ...]
    of_set: int


def of_set(number: int) -> Callable[..., Mutant]:
    """Return what makes one set's mutants: of a name, what, edits, and what is right."""

    def mutant(name: str, what: str, edits: tuple[Edit, ...], *right: str) -> Mutant:
        return Mutant(name, what, edits, right, of_set=number)

    return mutant


@lru_cache
def source(module: str) -> str:
    """Return the text of one file of the package."""
    spec = find_spec(f"jax_backprop.{module}")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).read_text()


def plant(mutant: Mutant) -> Callable[..., Any]:
    """Return ``value_and_grad`` with the mutant's edits, the package itself untouched.

    Raises ValueError where a text to be replaced isn't in its file exactly once.
    """
    changed: dict[str, dict[str, Any]] = {}
    for module in MODULES:
        text = source(module)
        for edit in mutant.edits:
            if edit.module != module:
                continue
            if text.count(edit.old) != 1:
                raise ValueError(
                    f"{mutant.name}: {edit.old!r} is {text.count(edit.old)} times in {module}.py; "
                    "expected once: adapt the catalogue to the source"
                )
            text = text.replace(edit.old, edit.new)
        namespace: dict[str, Any] = {"__name__": f"mutant_{mutant.name}_{module}"}
        exec(compile(_linked(text, changed), f"{mutant.name}/{module}.py", "exec"), namespace)
        changed[module] = namespace
    return changed["backprop"]["value_and_grad"]


def _linked(text: str, changed: dict[str, dict[str, Any]]) -> ast.Module:
    """Return the syntax tree with imports between the mutated files pointing at the mutants."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        module = (getattr(node, "module", None) or "").removeprefix("jax_backprop.")
        if isinstance(node, ast.ImportFrom) and module in changed:
            node.module = str(changed[module]["__name__"])
            stand_in = ModuleType(node.module)
            stand_in.__dict__.update(changed[module])
            sys.modules[node.module] = stand_in
    return tree
