"""One error for every mistake of a user's: what was got, what was expected, what to do."""

from __future__ import annotations

import contextlib
import difflib
import html
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# What a terminal obeys instead of showing, and what turns the direction of writing.
_OBEYED = [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_NUMBERED = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _OBEYED}
del _NUMBERED[ord("\n")]

LONGEST = 200  # characters of a value in an error


def printable(text: str) -> str:
    r"""Return a text, lines and all, with the number of each character that a terminal obeys.

    Example:
      >>> printable("red\x1b[31m")
      'red\\x1b[31m'
    """
    return text.translate(_NUMBERED)


def finite(value: Any) -> Any:
    """Return data for JSON: None for a number that it has none for; tuples as lists.

    Example:
      >>> finite({"slope": float("inf"), "rates": (0.1, 1.0)})
      {'slope': None, 'rates': [0.1, 1.0]}
    """
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def html_table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table for a notebook; what its cells say is text, whatever it looks like.

    Example:
      >>> html_table(["a"], [["<b>"]])
      '<table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """

    def row(cells: Iterable[object], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)

    lines = [row(heads, "th"), *(row(cells, "td") for cells in rows)]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def spreadsheet_cell(text: str) -> str:
    """Return a text as a spreadsheet shows it: one that it would compute gets a quote.

    Example:
      >>> spreadsheet_cell("=1+1"), spreadsheet_cell("-1.5")
      ("'=1+1", '-1.5')
    """
    with contextlib.suppress(ValueError):
        float(text)
        return text
    return ("'" if text.startswith(tuple("=+-@\t\r")) else "") + printable(text)


class InputError(ValueError):
    """Something given by the user can't be used; the command line prints it and exits with 2.

    Args:
      what: the thing that was given, in a few words.
      got: the value.
      expected: what would be right.
      remedy: what to do, as a sentence.

    Example:
      >>> import jax_backprop as jb
      >>> raise jb.InputError("rate", got=-1, expected="0 or more", remedy="Give another.")
      Traceback (most recent call last):
      jax_backprop.errors.InputError: rate: got -1; expected 0 or more. Give another.
    """

    def __init__(self, what: str, *, got: object, expected: str, remedy: str) -> None:
        super().__init__(f"{what}: got {got}; expected {expected}. {remedy}")

    def __reduce__(self) -> tuple[Callable[..., InputError], tuple[object, ...]]:
        """Tell pickle what another process raises: the same text."""
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[InputError], args: tuple[object, ...], fields: Mapping[str, object]
) -> InputError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class DataWarning(UserWarning):
    """Something in the data that can be used and that the user should know of."""


# What others call it, by what it is called here; of several names the first that is known.
OTHER_NAMES = {
    "learning_rate": "lr eta alpha rate step_size peak",
    "batch_size": "bs batch minibatch minibatch_size",
    "hidden_sizes": "hidden layers units neurons width",
    "hidden": "layers units neurons width",
    "epochs": "iterations steps num_epochs n_epochs max_epochs",
    "weight_decay": "wd decay",
    "l2": "lambda regularization penalty",
    "optimizer": "opt solver",
    "activation": "act nonlinearity",
    "b1": "beta1 beta_1",
    "b2": "beta2 beta_2",
    "epsilon": "eps",
    "seed": "random_state random_seed rng",
    "schedule": "scheduler lr_schedule",
    "dataset": "data input dataset_name",
    "out": "output o dir folder save",
    "gradient_descent": "sgd gd none",
    "constant": "none",
    "scheduled": "none",
    "heavy_ball": "momentum polyak",
    "nesterov": "nag",
    "softmax_cross_entropy": "ce nll xent cross_entropy",
    "squared_error": "mse quadratic",
    "sigmoid": "logistic",
    "restarts": "sgdr cosine_restarts",
    "validation": "valid val dev",
    "fashion_mnist": "fashion fmnist",
    "train": "fit learn",
    "evaluate": "test score",
    "predict": "infer apply",
    "new": "init template start",
    "find_rate": "find_lr lr_find range_test tune find",
    "sweep": "run grid study resume find_rate find_lr lr_find range_test tune find",
    "report": "plot page draw figures",
    "mark": "grade submissions check_folder",
    "check": "gradcheck judge",
    "derive": "prove proofs errata equations",
    "boundaries": "stability",
    "compare": "diff versus vs",
    "merge": "join gather",
    "data": "dataset datasets download",
    "prepare": "download get fetch",
    "list": "ls",
    "info": "describe show",
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was meant: by what others call it, by its start, by its letters.

    Upper case, and dashes in place of underscores, are not told apart.
    """
    names = {each.lower().lstrip("-").replace("-", "_"): each for each in known}
    asked = name.lower().lstrip("-").replace("-", "_")
    if asked in names:
        return names[asked]
    for here, others in OTHER_NAMES.items():
        if here in names and asked in others.split():
            return names[here]
    starting = [each for each in names if len(asked) > 2 and each.startswith(asked)]
    close = starting or difflib.get_close_matches(asked, names, n=1, cutoff=0.6)
    return names[close[0]] if close else None


def whole_number(text: str) -> int | None:
    """Return a text of ASCII digits as a number; None for any other, and for more than 18 digits.

    Python refuses to read thousands of digits, by an error of its own.

    Example:
      >>> whole_number("12"), whole_number("1.5"), whole_number("9" * 5000)
      (12, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known name, or lists them all.

    Example:
      >>> did_you_mean("cosin", ["constant", "cosine"])
      "Did you mean 'cosine'?"
    """
    names = list(known)
    found = nearest(name, names)
    return f"Did you mean {found!r}?" if found else f"Choose one of: {', '.join(names)}."


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for a name that isn't one of the known ones."""
    names = list(known)
    found = nearest(name, names)
    return InputError(
        f"unknown {what}",
        got=shown(name),
        expected=f"one of {', '.join(names)}",
        remedy=f"Did you mean {found!r}?" if found else "Choose one of them.",
    )


def kind_of(value: object) -> str:
    """Return the type of a value, after its article.

    Example:
      >>> kind_of(3), kind_of("three")
      ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def shown(value: object) -> str:
    """Return a value as Python writes it, its middle left out where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-9:]}"
