"""``find-rate``: the learning rate for a network, by short trainings."""

from __future__ import annotations

import functools
import json
import math
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jax_backprop.cli import console
from jax_backprop.cli.data import load
from jax_backprop.cli.flags import Flag, MaybeFolder, for_each_field, run_flags
from jax_backprop.cli.signals import stop_on_signal
from jax_backprop.errors import InputError, finite
from jax_backprop.settings import Run

if TYPE_CHECKING:
    from jax_backprop.finding import FoundRate
    from jax_backprop.finding.searched import Searched
    from jax_backprop.types import Dataset

MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
STOPPING = "stopping after these trials; nothing is saved (again: stop at once)"
BAR = 40  # characters
FREE = "learning_rate"  # what is looked for


@functools.partial(for_each_field, without=(FREE, "eval_every"))
def find_rate(
    run: Run,
    budget: float = 4.0,
    low: MaybeFloat = None,
    high: MaybeFloat = None,
    proxy_width: Annotated[int | None, tyro.conf.arg(metavar="UNITS")] = None,
    label: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None,
    relabel: Flag = False,
    standardize: Flag = False,
    data_dir: MaybeFolder = None,
    out: Annotated[Path | None, tyro.conf.arg(metavar="PAGE.html")] = None,
    as_json: Annotated[Flag, tyro.conf.arg(name="json")] = False,
) -> None:
    """Find the learning rate for a network, and print the train command with it.

    Short trainings with the schedule of the whole one: 4 rates a decade about the limit of the
    quadratic model, then longer ones about the best, as far as the budget goes. The flags are those
    of `train`. What regret the rule had on tasks like this one is printed beside the answer (`make
    finders` measures it). Exit code 1 if no rate can be recommended: nothing is learned at any, the
    loss never rises, or seeds disagree by more than the window.

    Args:
      budget: Of all trials together, in whole trainings; the first round runs in any case.
      low: Lowest rate of the first round, with --high; by default the curvature says.
      high: Highest rate of the first round.
      proxy_width: Search with hidden layers of so many units, and carry the rate over to the wide
        network: its parametrization becomes mup, which is another network than the standard one.
      label: Column of a CSV file that holds the labels; all others are features.
      relabel: Number the classes of a CSV or npz file in the order of their labels.
      standardize: Scale every feature to mean 0, deviation 1 over the train split.
      data_dir: Folder of prepared sets; by default $JAX_BACKPROP_DATA_DIR or ~/.cache/jax_backprop.
      out: Write a page that opens offline, too; an existing file is replaced.
      as_json: Print one JSON object instead.
    """
    rates = _span(low, high)
    searched, run = carried_over(run, proxy_width)
    console.use_all_cores()
    from jax_backprop.finding import InterruptedSearchError, NoRateError
    from jax_backprop.finding.experience import experience, likeness, tasks_like

    data = load(run.dataset, split_seed=run.split_seed, data_dir=data_dir)
    with stop_on_signal(STOPPING) as stop, console.progress("steps of trials") as advance:
        try:
            found = _find(searched, data, budget, rates, stop, advance)
        except InterruptedSearchError as error:
            console.complain(f"{error}; nothing is saved")
            sys.exit(stop.exit_code)
        except NoRateError as error:
            refused: NoRateError | None = error
            found = None
        else:
            refused = None
    if found is None:
        assert refused is not None
        _refuse(refused, out, as_json)
    else:
        asked = {"of_classes": data.classes > 0}
        tasks = [] if run.network else tasks_like(searched, **asked)
        known = experience(tasks, found.cost)
        known += [likeness(searched, tasks, **asked, is_proxy=searched != run)] if known else []
        known += [] if searched == run else [_of_proxy(searched, run, data)]
        _tell(found, known, run, data, data_dir, out, as_json)


def _span(low: float | None, high: float | None) -> tuple[float, float] | None:
    if (low is None) != (high is None):
        raise InputError(
            "range of rates",
            got="--low or --high alone",
            expected="both or neither",
            remedy="Give the other one, too.",
        )
    return None if low is None or high is None else (low, high)


def carried_over(run: Run, width: int | None) -> tuple[Run, Run]:
    """Return the run to search with, and the one that its rate is for.

    Where each hidden layer has the base width, every parametrization is the standard one: the
    narrow network is both. Raises InputError for a width that can't be.

    Args:
      run: the wide one.
      width: of each hidden layer of the narrow one; None to search with the wide one.
    """
    if width is None:
        return run, run
    least = min(run.hidden_sizes, default=0)
    if not 1 <= width < least:
        raise InputError(
            "proxy width",
            got=width,
            expected=f"from 1 to {least - 1}, narrower than each hidden layer"
            if least > 1
            else "a network with hidden layers of several units",
            remedy="Leave it out to search with the network itself.",
        )
    given = run.model_dump() | {"hidden_sizes": (width,) * len(run.hidden_sizes)}
    if run.parametrization != "standard":
        return Run.model_validate(given), run
    wide = run.model_copy(update={"parametrization": "mup", "base_width": width})
    return Run.model_validate(given), wide


def _of_proxy(searched: Run, run: Run, data: Dataset) -> str:
    """Return what carrying a rate over means, and how much smaller the narrow network is."""
    narrow, wide = ("-".join(map(str, each.hidden_sizes)) for each in (searched, run))
    is_same = searched.parametrization == run.parametrization
    changed = "" if is_same else ", which makes it another network than the standard one"
    work = [
        sum(map(math.prod, pairwise(each.network_of(data.features, data.outputs).layer_sizes)))
        for each in (searched, run)
    ]
    return (
        f"Searched with hidden layers of {narrow} units, whose training costs "
        f"{work[0] / work[1]:.2g} of the network's. Carried over to {wide} units by "
        f"{run.parametrization}{changed}. What that loses is measured by `make transfer`"
    )


def _parts(run: Run, data: Dataset) -> tuple[Any, ...]:
    """Return a network's init, gradient, evaluation, products with the Hessian, rate factors."""
    from jax_backprop.derivation.autodiff import autodiff_value_and_grad
    from jax_backprop.network import init_params
    from jax_backprop.parametrization import rate_factors
    from jax_backprop.training import check_loss, imported_network, network_functions, share_of
    from jax_backprop.types import Penalties

    if run.network is not None:
        own = imported_network(run.network, data)
        return own.init, own.value_and_grad, own.evaluate, own.vector_product, None
    network = run.network_of(data.features, data.outputs)
    check_loss(share_of(data, run.data_fraction), network.loss)
    penalties = Penalties(l2=run.l2, label_smoothing=run.label_smoothing)
    gradient, *others = network_functions(network, penalties)
    if run.gradient == "autodiff":
        gradient = autodiff_value_and_grad(network, penalties)

    def init(key: Any) -> Any:
        return init_params(network, key=key, init_scale=run.init_scale)

    return init, gradient, *others, rate_factors(network, run.optimizer)


def _find(run: Run, data: Dataset, budget: float, rates: Any, stop: Any, advance: Any) -> FoundRate:
    from jax_backprop.finding import find_learning_rate
    from jax_backprop.training import share_of

    init, gradient, evaluate, product, factors = _parts(run, data)
    return find_learning_rate(
        init,
        gradient,
        share_of(data, run.data_fraction),
        evaluate=evaluate,
        optimizer=run.optimizer,
        rate_rule=run.rate_rule,
        vector_product=product,
        factors=factors,
        layer_factors=run.layer_factors,
        reduction=run.reduction,
        schedule=run.schedule,
        batch_size=run.batch_size,
        epochs=run.epochs,
        steps=run.steps,
        matmul_precision=run.matmul_precision,
        budget=budget,
        rates=rates,
        seed=run.seed,
        should_stop=stop,
        on_progress=lambda p: advance(p.done_steps, f"best so far {p.rate:.3g}", p.total_steps),
    )


def _tell(
    found: FoundRate,
    known: list[str],
    run: Run,
    data: Dataset,
    data_dir: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show what was found and is known beside, and the command that trains a run with it."""
    chosen = run.model_copy(update={FREE: float(f"{found.rate:.4g}")})
    folder = [] if data_dir is None else ["--data-dir", str(data_dir)]
    command = shlex.join(["jax-backprop", "train", *run_flags(chosen), *folder])
    lines = [*found.sentences(), *known, f"Train with it: {command}"]
    if out is not None:
        from jax_backprop.report.finding import write_page

        write_page(found, _title(run, data), lines, out)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(found, known, command)) + "\n")
        return
    picture(found.searched, found.rate)
    for line in lines:
        console.say(line)
    if out is not None:
        console.say(f"Page: {out}")


def _title(run: Run, data: Dataset) -> str:
    """Return the title of a page: the data and the network."""
    if run.network is not None:
        return f"The learning rate of {run.network} on {data.name}"
    sizes = run.network_of(data.features, data.outputs).layer_sizes
    return f"The learning rate of {'-'.join(map(str, sizes))} on {data.name}, {run.loss}"


def _refuse(error: Any, out: Path | None, as_json: bool) -> None:
    """Say why no rate is recommended and what was tried, and end with exit code 1."""
    from jax_backprop.finding.found import trial_rows

    if as_json:
        tried = {"cost": error.searched.cost, "trials": trial_rows(error.searched)}
        told = finite({"rate": None, "refused": str(error), **tried})
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        picture(error.searched)
        console.complain(f"no rate is recommended: {error}")
    if out is not None:
        console.complain(f"no page is written to {out}: there is no rate to show")
    sys.exit(1)


def _as_json(found: FoundRate, known: list[str], command: str) -> dict[str, Any]:
    limits = found.limits
    told = {
        "rate": found.rate,
        "window": list(found.window),
        "fails_from": found.fails_from,
        "two_over_sharpness": limits and float(limits.sharpness),
        "cost": found.cost,
        "seconds": found.seconds,
        "steps": found.steps,
        "experience": known,
        "command": command,
        "trials": found.rows(),
    }
    return finite(told)


def picture(searched: Searched, rate: float | None = None) -> None:
    """Show the first round and the last: a bar a rate, the shorter the better; and the pick."""
    from jax_backprop.cli.tables import Table

    start = searched.start_loss
    for scan in searched.rounds[:1] + searched.rounds[1:][-1:]:
        rows = []
        best = float(scan.scores.min())
        span = math.log(start / best) if 0 < best < start else 1.0
        for tried, loss in zip(scan.rates, scan.scores, strict=True):
            is_logged = 0 < loss < math.inf and best > 0
            share = min(1.0, math.log(loss / best) / span) if is_logged else 1.0
            mark = "fails" if not loss <= start else "█" * (1 + round(BAR * share))
            pick = " recommended" if tried == rate and scan is searched.rounds[-1] else ""
            rows.append([f"{tried:.3g}", f"{loss:.4g}", mark + pick])
        title = f"validation loss after {scan.steps:,} steps, worst seed"
        console.out.print(Table(("rate", "loss", ""), rows, title=title, texts=("",)))
