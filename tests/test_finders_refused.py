"""What find-rate is given and can't use is refused in a line, before anything is trained."""

from __future__ import annotations

import inspect
import json

import jax.numpy as jnp
import numpy as np
import pytest
from test_cli import call

import jax_backprop as jb
from jax_backprop.cli.console import Terminal, complain, say
from jax_backprop.cli.find_rate import picture
from jax_backprop.finding.experience import likeness, tasks_like
from jax_backprop.finding.searched import Round, Searched
from jax_backprop.settings import Run, Schedule

find = inspect.unwrap(jb.find_learning_rate)  # a checker of types wraps it in the tests
OWN = {"value_and_grad": None}


def init(key):
    return jnp.ones(3)


def gradient(params, batch):
    return jnp.sum(params**2) / 2, params


def own(state, batch, rate):
    return state - rate * state, jnp.sum(state**2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": "4"}, r"budget, in trainings: got '4'; expected a number, 0\.001 to 1000000"),
        ({"budget": None}, "budget, in trainings: got None"),
        ({"budget": True}, "budget, in trainings: got True"),
        ({"rates": (1, 2, 3)}, r"range of rates: got \(1, 2, 3\); expected a lower rate"),
        ({"rates": 0.1}, "range of rates: got 0.1"),
        ({"rates": ("a", "b")}, r"range of rates: got \('a', 'b'\)"),
        ({"seed": -1}, "seed: got -1; expected a whole number, 0 to 2147482"),
        ({"seed": 3_000_000}, "seed: got 3000000"),  # a thousand of it are too many for a key
        ({"seed": 1.5}, "seed: got 1.5"),
        ({"init": 3}, "init: got 3, an int; expected a function key -> params"),
        ({"init": lambda key: 1 / 0}, "init: got ZeroDivisionError: division by zero"),
        ({"schedule": "cos"}, "schedule: got 'cos'.* Did you mean 'cosine'"),
        ({"optimizer": "adm"}, "optimizer: got 'adm'.* Did you mean 'adam'"),
        ({"rate_rule": "plato"}, "rate_rule: got 'plato'"),
        (
            {"optimizer": jb.Optimizer(name="adam", accumulate_steps=10)},
            "accumulate_steps: got 10 in a run of 9 steps",
        ),
        ({"value_and_grad": None}, "value_and_grad: got nothing.*or a training_step"),
        ({"value_and_grad": lambda p, b: (float("nan"), p)}, "got the loss nan, a float"),
        ({"value_and_grad": lambda p, b: (p, p)}, r"value_and_grad: got a loss float32\[3\]"),
        ({"value_and_grad": lambda p, b: (p[0], p[:2])}, r"got float32\[2\] as grads"),
        ({"evaluate": lambda p, b: 1 / 0}, "evaluate: got ZeroDivisionError"),
        (OWN | {"training_step": lambda s, b, r: s}, r"training_step: got float32\[3\] returned"),
        (OWN | {"training_step": lambda s, b, r: ({"w": s}, s[0])}, "got nothing as state"),
        (OWN | {"training_step": lambda s, b, r: (s[:2], s[0])}, r"got float32\[2\] as state"),
        (
            OWN | {"training_step": lambda s, b, r: (s.astype(int), s[0])},
            r"got int32\[3\] as state; expected float32\[3\] there",
        ),
        (
            OWN | {"training_step": lambda s, b, r: (s, s)},
            r"training_step: got a loss float32\[3\]",
        ),
        (
            OWN | {"training_step": lambda s, b, r: (s, float(r))},
            r"training_step: got ConcretizationTypeError: .*test_finders_refused.py:\d+\)",
        ),
        (OWN | {"training_step": own, "evaluate": lambda s, b: s}, "evaluate: got a loss float32"),
    ],
)
def test_a_mistake_is_a_line_before_anything_is_trained(given, message: str, monkeypatch) -> None:
    def no_training(*args, **named):
        raise AssertionError

    monkeypatch.setattr("jax_backprop.finding.find.limits_at", no_training)
    monkeypatch.setattr("jax_backprop.finding.find.search", no_training)
    data = jb.load_dataset("noise:30,4,3")
    with pytest.raises(jb.InputError, match=message) as found:
        find(**{"init": init, "value_and_grad": gradient, "data": data, "steps": 9, **given})
    assert "\n" not in str(found.value)


def test_fit_and_sweep_say_the_same_of_a_name() -> None:
    data = jb.load_dataset("noise:30,4,3")
    with pytest.raises(jb.InputError, match=r"schedule: got 'cos'.* Did you mean 'cosine'"):
        jb.fit(
            jnp.ones(3), data, key=jb.role_keys(0).order, value_and_grad=gradient, schedule="cos"
        )


def test_a_state_of_half_precision_counters_and_functions_is_taken() -> None:
    """The rate is a float32: it widens what it multiplies, which trials set back."""

    def step(state, batch, rate):
        params, count, activation = state
        return (params - rate * params, count + 1, activation), jnp.sum(params**2)

    def start(key):
        return jnp.ones(3, jnp.bfloat16), 0, jnp.tanh

    data = jb.load_dataset("noise:30,4,3")
    found = find(start, None, data, training_step=step, steps=9, budget=0.5)
    assert 0.3 < found.rate < 2


def test_what_is_alike_and_what_is_not_is_told_from_the_tasks() -> None:
    run = Run(batch_size=32, schedule=Schedule(name="linear", warmup_fraction=0.1))
    tasks = tasks_like(run)
    said = likeness(run, tasks, of_classes=True)
    assert said == (
        "All of them have its kind of targets, loss (softmax_cross_entropy), small batches, rate "
        "rule (scheduled); some its optimizer (gradient_descent); none its schedule "
        "(linear(warmup_fraction=0.1))"
    )
    plain = likeness(Run(batch_size=32), tasks, of_classes=True, is_proxy=True)
    assert "some its optimizer (gradient_descent), schedule (constant); none its proxy" in plain


def test_the_command_checks_targets_as_train_does(tmp_path, capsys) -> None:
    table = tmp_path / "num.csv"
    table.write_text("x,y\n" + "".join(f"{n},{n / 7}\n" for n in range(40)))
    flags = ("--dataset", f"csv:{table},label=y", "--batch-size", 8, "--epochs", 4)
    said = []
    for command in ("train", "find-rate"):
        assert call(command, *flags) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and "targets of loss 'softmax_cross_entropy': got float64" in said[1]


def test_a_refusal_holds_what_was_tried_and_says_that_no_page_is_written(tmp_path, capsys) -> None:
    flags = ("--dataset", "noise:60,4,3", "--hidden", 4, "--epochs", 20, "--init-scale", 0.1)
    page = tmp_path / "page.html"
    assert call("find-rate", *flags, "--budget", 1, "--out", page, "--json") == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["rate"] is None and told["cost"] == 4 and len(told["trials"]) == 8
    assert {"steps", "rate", "worst_loss"} <= set(told["trials"][0])
    assert "no page is written" in printed.err and not page.exists()


def test_the_picture_shows_the_first_round_and_the_last_with_the_pick(monkeypatch, capsys) -> None:
    rates = np.array([0.1, 0.2, 0.4])
    rounds = [
        Round(steps, rates, losses[:, None])
        for steps, losses in (
            (10, np.array([2.0, 1.5, 1.8])),
            (20, np.array([1.0, 1.1, 1.2])),
            (40, np.array([0.2, 0.1, 0.9])),
        )
    ]
    terminal = Terminal(width=80)
    monkeypatch.setattr("jax_backprop.cli.console.out", terminal)
    picture(Searched(tuple(rounds), 1.0, 2.3), 0.2)
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if "steps" in line]
    assert [head.split()[3] for head in heads] == ["10", "40"]
    (pick,) = [line.split() for line in lines if "recommended" in line]
    assert pick[:2] == ["0.2", "0.1"] and max(map(len, lines)) <= 80
    picture(Searched(tuple(rounds[:1]), 1.0, 2.3))  # of a refusal, after one round
    assert capsys.readouterr().out.count("steps") == 1


def test_lines_are_wrapped_on_both_streams_where_there_is_a_width(monkeypatch, capsys) -> None:
    text = "word " * 30
    for columns in (None, "40"):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        say(text), complain(text)
        printed = capsys.readouterr()
        lines = [each.rstrip().split("\n") for each in printed]
        assert lines[0] == lines[1] and len(lines[0]) == (4 if columns else 1)
