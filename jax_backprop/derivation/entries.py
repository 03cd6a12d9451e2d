"""What one equation of the derivation is: its texts, its two sides, and its code."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jax_backprop.derivation import homework
from jax_backprop.derivation.definitions import Function, Side

PACKAGE = Path(__file__).parent.parent


class Code(NamedTuple):
    """Where the project computes an equation.

    Args:
      function: the function that does.
      containing: a text that picks the statements of its body; all of them where it is empty.
    """

    function: Callable[..., object]
    containing: str = ""


class SourceLines(NamedTuple):
    """Lines of a function's body: the file, the first line's number in it, the text."""

    file: str
    line: int
    text: str


class Equation(NamedTuple):
    """One equation, numbered as in the homework, or added to it.

    Args:
      label: the homework's number; with an N for N examples; or the name of what it lacks.
      title: what it says, in a few words.
      corrected: the LaTeX that is proven.
      why: the step from the equations before to this one, in a sentence.
      right: the corrected right side; for a definition, the definition.
      left: what it must equal, a Jacobian by its name or a function of some; None for a definition.
      code: where the project computes it; empty for a step on the way.
      production: the right side computed by that code, from the same quantities.
      batch: it speaks of N examples and their mean loss.
    """

    label: str
    title: str
    corrected: str
    why: str
    right: Function
    left: Side | None = None
    code: tuple[Code, ...] = ()
    production: Function | None = None
    batch: bool = False

    @property
    def printed(self) -> str:
        """The homework's LaTeX; empty where the homework lacks the equation."""
        return homework.printed().get(self.label, "")

    @property
    def sources(self) -> list[SourceLines]:
        """The lines that compute it: this room's function, then the project's own code."""
        return [source_lines(Code(self.right)), *map(source_lines, self.code)]


def source_lines(code: Code) -> SourceLines:
    """Read the statements of a function's body, its docstring left out.

    Raises:
      ValueError: no statement contains the text that should pick one.
    """
    function = inspect.unwrap(code.function)
    lines, first = inspect.getsourcelines(function)
    source = textwrap.dedent("".join(lines))
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef)
    body = definition.body[1:] if ast.get_docstring(definition) else definition.body
    picked = [
        node
        for statement in body
        for node in _leaves(statement)
        if code.containing in (ast.get_source_segment(source, node) or "")
    ]
    if not picked:
        raise ValueError(f"no statement of {function.__name__} contains {code.containing!r}")
    start, end = picked[0].lineno, picked[-1].end_lineno or picked[-1].lineno
    text = textwrap.dedent("\n".join(source.splitlines()[start - 1 : end]))
    file = Path(inspect.getsourcefile(function) or "").relative_to(PACKAGE.parent)
    return SourceLines(str(file), first + start - 1, text)


def _leaves(statement: ast.stmt) -> list[ast.stmt]:
    """Return the statements within a loop or a branch, or the statement itself."""
    inner = getattr(statement, "body", None)
    return [leaf for each in inner for leaf in _leaves(each)] if inner else [statement]
