"""The seven rules against the packages they are of, on the same curves: `make test-finders`."""

from __future__ import annotations

import importlib
import math
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from jax_backprop.finding import FINDERS, range_test_rates

warnings.simplefilter("ignore")
LOW, HIGH, STEPS = 1e-5, 10.0, 100
RATES = range_test_rates(LOW, HIGH, STEPS)


def curves() -> dict[str, np.ndarray]:
    """Return losses of 100 steps: what a training gives, and what may go wrong with it."""
    generator = np.random.default_rng(0)
    # A plateau falls a little: where it doesn't, single precision decides, as in a package.
    fall = 2.3 - 2 / (1 + (0.1 / RATES) ** 2) - 1e-3 * np.arange(STEPS)
    noise = generator.normal(size=STEPS)
    spikes = np.where(np.arange(STEPS) % 17 == 5, 3.0, 0.0)
    found = {
        "falling": fall,
        "exploding": np.where(RATES > 2, 50.0, fall),
        "noisy": fall + 0.2 * noise,
        "spiky": fall + spikes,
        "flat": np.full(STEPS, 2.3),
        "flat and noisy": 2.3 + 0.01 * noise,
        "rising": np.linspace(1, 3, STEPS),
        "steps": np.repeat(generator.uniform(0.5, 2.5, 10), 10),
        "to infinity": np.where(RATES > 3, np.inf, fall),
        "nan at the end": np.where(RATES > 3, np.nan, fall),
        "nan in between": np.where(np.arange(STEPS) == 60, np.nan, fall),
        "nan early": np.where(np.arange(STEPS) == 5, np.nan, fall),
    }
    walks = generator.normal(size=(5, STEPS)).cumsum(axis=1)
    return found | {f"random {n}": np.exp(walk / 5) for n, walk in enumerate(walks)}


CURVES = curves()


@pytest.fixture(scope="module", autouse=True)
def headless():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")


def same(ours: float, theirs: float | None) -> bool:
    if theirs is None or math.isnan(theirs):
        return math.isnan(ours)
    return ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("name", CURVES)
def test_torch_lr_finder(name: str, capsys) -> None:
    package = pytest.importorskip("torch_lr_finder")
    torch = pytest.importorskip("torch")
    losses = iter(CURVES[name])
    model = torch.nn.Linear(1, 1)
    finder = package.LRFinder(
        model, torch.optim.SGD(model.parameters(), lr=LOW), torch.nn.MSELoss(), device="cpu"
    )
    finder._train_batch = lambda *args, **kwargs: float(next(losses))
    rows = torch.utils.data.TensorDataset(torch.zeros(4, 1), torch.zeros(4, 1))
    loader = torch.utils.data.DataLoader(rows)
    finder.range_test(loader, end_lr=HIGH, num_iter=STEPS)
    rates = np.array(finder.history["lr"])
    ours = FINDERS["torch_lr_finder"](rates_of(rates), CURVES[name])
    capsys.readouterr()
    try:
        _, theirs = finder.plot(suggest_lr=True)
    except (RuntimeError, ValueError):  # too few points
        theirs = None
    assert same(ours, theirs)


def rates_of(recorded: np.ndarray) -> np.ndarray:
    """Return all rates of a test that may have stopped: those that it recorded, and ours after."""
    return np.concatenate([recorded, RATES[len(recorded) :]])


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning(package: str, name: str) -> None:
    pytest.importorskip(package)
    torch = pytest.importorskip("torch")
    module = importlib.import_module(f"{package}.tuner.lr_finder")
    version = importlib.import_module(package).__version__
    callback = module._LRCallback(STEPS, 4.0)
    scheduler = SimpleNamespace(lr=[LOW])
    trainer = SimpleNamespace(
        fit_loop=SimpleNamespace(batch_idx=0),
        strategy=SimpleNamespace(broadcast=lambda value: value),
        should_stop=False,
        accumulate_grad_batches=1,
        lr_scheduler_configs=[SimpleNamespace(scheduler=scheduler)],
        global_step=0,
    )
    losses = CURVES[name]
    while trainer.global_step < STEPS and not trainer.should_stop:
        step = trainer.global_step
        scheduler.lr = [RATES[step]]
        callback.on_train_batch_start(trainer, None, None, 0)
        trainer.global_step += 1
        outputs = {"loss": torch.tensor(losses[step], dtype=torch.float64)}
        callback.on_train_batch_end(trainer, None, outputs, None, 0)
    finder = module._LRFinder("exponential", LOW, HIGH, STEPS)
    finder.results = {"lr": callback.lrs, "loss": callback.losses}
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    rule = "lightning" if number >= (2, 5, 3) else "lightning_by_index"
    assert same(FINDERS[rule](RATES, losses), finder.suggestion())


@pytest.mark.parametrize("rule", ["valley", "steep", "minimum", "slide"])
@pytest.mark.parametrize("name", [name for name in CURVES if name != "flat"])
def test_fastai(name: str, rule: str, tmp_path) -> None:
    pytest.importorskip("fastai")
    import torch
    from fastai.basics import DataLoaders, Learner
    from fastai.callback import schedule

    losses = iter(CURVES[name])
    rows = [(torch.zeros(1), torch.zeros(1))] * STEPS
    loaders = DataLoaders.from_dsets(rows, rows, bs=1, device=torch.device("cpu"), num_workers=0)

    def loss(predicted, _):
        return 0 * predicted.sum() + next(losses, math.nan)

    learner = Learner(loaders, torch.nn.Linear(1, 1), loss_func=loss, path=tmp_path)
    with learner.no_bar(), learner.no_logging():
        try:
            found = learner.lr_find(
                LOW, HIGH, STEPS, show_plot=False, suggest_funcs=getattr(schedule, rule)
            )
            theirs = float(found[0])
        except (IndexError, ValueError, RuntimeError):  # nothing is left to pick from
            theirs = None
    rates = LOW * (HIGH / LOW) ** (np.arange(STEPS) / STEPS)  # fastai's don't reach the highest
    assert same(FINDERS[f"fastai_{rule}"](rates, CURVES[name]), theirs)
