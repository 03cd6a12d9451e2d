"""``check-folder``: a folder of students' submissions, a line of JSON for each."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.derivation import parse_sizes
from jax_backprop.errors import InputError
from jax_backprop.fields import LARGEST
from jax_backprop.parsing import MOST_SEED, check_number

if TYPE_CHECKING:
    from jax_backprop.derivation.submissions import StepsProblem

MaybeFolder = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


def check_submissions(
    folder: MaybeFolder = None,
    /,
    out: MaybeFile = None,
    problem: MaybeFile = None,
    save_problem: MaybeFile = None,
    layer_sizes: Annotated[str, tyro.conf.arg(metavar="D,H,K")] = "4,5,3",
    batch_size: int = 6,
    learning_rate: float = 0.5,
    seed: int = 0,
    tolerance: float = 1e-5,
    seconds: float = 10.0,
) -> None:
    """Check a folder of submissions, each one's intermediate steps: which equation fails FIRST.

    The network is the homework's: d inputs, H sigmoid units, K softmax outputs, and the MEAN
    cross-entropy over the batch. A submission is one file of the folder:

      alice.py    defines steps(*, inputs, labels, hidden_weights, hidden_biases, output_weights,
                  output_biases, learning_rate), which returns a dictionary of arrays. It gets NumPy
                  arrays and runs in a process of its own, with a time limit and 8 GiB. It runs with
                  your rights: take it only from whom you would take a program.
      bob.npz     holds the arrays, computed for a problem that you gave out (--save-problem);
      carol.json  likewise, as nested lists.

    The arrays, any of them: pre_activations, hidden (N, H); logits, outputs (N, K); loss ();
    d_logits (N, K); d_output_weights (H, K); d_output_biases (K,); d_hidden, d_pre_activations
    (N, H); d_hidden_weights (d, H); d_hidden_biases (H,); new_hidden_weights and so on after the
    update; d_weights and d_biases for both layers as a pair.

    One line of JSON each: submission, verdict (pass, fail or error), the first step that is wrong
    and its equation (`jax-backprop derive` shows it), the reason, every step's verdict: "follows"
    marks one that is wrong only because an earlier one is. Exit code 1 unless all pass.

    Args:
      folder: The submissions.
      out: Write the lines to this new file; it grows with every submission.
      problem: A problem from --save-problem; by default one is drawn by --layer-sizes to --seed.
      save_problem: Write the problem to this new .npz file, to be given out, and stop.
      layer_sizes: Of the problem: inputs, hidden units and classes.
      batch_size: Of the problem.
      learning_rate: Of the problem's update.
      seed: Of the problem's numbers.
      tolerance: A step is right within this share of its largest element; 1e-3 suits numbers that
        were rounded to four digits.
      seconds: Time limit of a submission.
    """
    from jax_backprop.derivation.submissions import find_submissions, make_problem, read_problem
    from jax_backprop.storage import write_atomic

    check_number("--tolerance", tolerance, 1e-300, 1e300)
    check_number("--seconds", seconds, 1e-3, 86_400)
    check_number("--learning-rate", learning_rate, -LARGEST, LARGEST)
    check_number("--seed", seed, 0, MOST_SEED)
    _check_new(out, save_problem)
    if problem is not None:
        given = read_problem(problem)
    else:
        given = make_problem(parse_sizes(layer_sizes), batch_size, learning_rate, seed)
    if (folder is None) == (save_problem is None):
        raise InputError(
            "folder of submissions",
            got="none" if folder is None else f"{folder} beside --save-problem",
            expected="a folder to judge, or a problem to write",
            remedy="Name it, or --save-problem.",
        )
    if save_problem is not None:
        write_atomic(save_problem, given.npz)
        console.out.print(f"Problem: {save_problem}", markup=False, soft_wrap=True)
        return
    assert folder is not None
    counts = _judge_all(
        find_submissions(folder, besides=problem), given, out, tolerance=tolerance, seconds=seconds
    )
    console.err.print(
        f"{counts.total()} submissions: {counts['pass']} pass, {counts['fail']} fail, "
        f"{counts['error']} could not be judged"
    )
    if counts["pass"] < counts.total():
        sys.exit(1)


def _judge_all(
    paths: list[Path], problem: StepsProblem, out: Path | None, *, tolerance: float, seconds: float
) -> Counter[str]:
    """Print or write a line each, as soon as it is known; return how many of each verdict."""
    from jax_backprop.derivation.submissions import judge
    from jax_backprop.storage import write_atomic

    counts: Counter[str] = Counter()
    lines: list[str] = []
    with console.progress("submissions", len(paths)) as advance:
        for path in paths:
            record = judge(path, problem, tolerance=tolerance, seconds=seconds)
            counts[record["verdict"]] += 1
            lines.append(json.dumps(record, allow_nan=False))
            if out is None:
                console.out.out(lines[-1], highlight=False)
            else:
                write_atomic(out, "\n".join(lines) + "\n")
            advance(len(lines), path.name)
    return counts


def _check_new(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and path.exists():
            raise InputError(
                "output file",
                got=f"{path}, which exists",
                expected="a new file",
                remedy="Name another.",
            )
