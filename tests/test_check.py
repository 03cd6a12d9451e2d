"""``jax-backprop check``: exit codes, what it prints and writes, and how it takes mistakes."""

from __future__ import annotations

import io
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from rich.console import Console
from test_cli import call

from jax_backprop.cli import console
from jax_backprop.cli.check import check


@pytest.fixture
def module(tmp_path, monkeypatch) -> Iterator[Path]:
    """The help's own example as a module, with a wrong gradient and a few misfits beside it."""
    indented = (check.__doc__ or "").split("my_module.py:\n")[1].split("\n    and: ")[0]
    source = textwrap.dedent(indented) + textwrap.dedent(
        """

        def wrong(params, *args):
            return {name: -leaf for name, leaf in gradient(params, *args).items()}

        def pair(params, *args):
            return loss(params, *args), gradient(params, *args)

        number, not_a_tuple = 3, {"weights": 1.0}
        """
    )
    file = tmp_path / "taught_module.py"
    file.write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "taught_module", raising=False)
    with jax.numpy_rank_promotion("allow"):  # a student's code adds biases as NumPy does
        yield file


def run(loss: str, gradient: str, *options: object, example: str = "example") -> int:
    targets = [f"taught_module:{name}" for name in (loss, gradient, example)]
    return call("check", *targets[:2], "--example", targets[2], *options)


def test_the_example_of_the_help_passes(module, capsys) -> None:
    assert run("loss", "gradient") == 0
    assert run("loss", "pair", "--value-and-grad") == 0
    printed = capsys.readouterr().out
    assert printed.count("verdict: pass") == 2
    assert "params.weights" in printed


def test_a_wrong_gradient_exits_with_1_and_is_named(module, capsys) -> None:
    assert run("loss", "wrong", "--json", "out/report.json", "--html", "page.html") == 1
    assert "its sign flipped" in capsys.readouterr().out
    report = json.loads(Path("out/report.json").read_text())
    assert report["verdict"] == "fail"
    assert [row["verdict"] for row in report["rows"]] == ["fail", "fail"]
    page = Path("page.html").read_text()
    assert "<code>sign</code>" in page
    assert "src=" not in page and "http" not in page.replace("http-equiv", "")  # opens offline


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("taught_module", "taught_module:loss", "taught_module:example"), "MODULE:NAME"),
        (("nowhere:loss", "taught_module:gradient", "taught_module:example"), "nowhere.py"),
        (("taught_module:los", "taught_module:gradient", "taught_module:example"), "'loss'?"),
        (("taught_module:number", "taught_module:loss", "taught_module:example"), "a function"),
        (("taught_module:loss", "taught_module:wrong", "taught_module:loss"), "without arguments"),
        (("taught_module:loss", "taught_module:wrong", "taught_module:not_a_tuple"), "(params,)"),
        (("taught_module:gradient", "taught_module:wrong", "taught_module:example"), "one real"),
    ],
)
def test_misuse_exits_with_2_and_says_what_to_do(
    module, capsys, arguments: tuple[str, str, str], message: str
) -> None:
    loss, gradient, example = arguments
    assert call("check", loss, gradient, "--example", example, "--json", "report.json") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert not Path("report.json").exists()


def test_a_budget_of_nothing_exits_with_2(module) -> None:
    assert run("loss", "gradient", "--budget", 0) == 2


def test_the_bar_is_drawn_before_the_total_is_known(monkeypatch) -> None:
    """On a terminal, where a bar is drawn at once."""
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(console, "err", terminal)
    with console.progress("steps") as advance:
        advance(3, "half way", 6)
    assert "3/6" in terminal.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
