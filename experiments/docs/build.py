"""Build the documents: `make docs`. One builder, Sphinx, for the pages and the reference."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
from pathlib import Path

os.environ["COLUMNS"] = "80"  # the width at which commands explain themselves

from sphinx.cmd.build import build_main

import jax_backprop
from jax_backprop.cli.commands import COMMANDS, dispatch

HERE = Path(__file__).parent
EXPERIMENTS = HERE.parent
OUT = EXPERIMENTS / "results" / "docs"
SOURCE = EXPERIMENTS / "results" / "docs-source"


def main() -> None:
    """Gather the sources, write what is made from the package itself, and build."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(HERE, SOURCE, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    shutil.copytree(EXPERIMENTS / "figures", SOURCE / "figures")
    shutil.copy(EXPERIMENTS / "README.md", SOURCE / "findings.md")
    package = Path(jax_backprop.__file__).parent
    shutil.copy(package / "CHANGELOG.md", SOURCE / "changelog.md")
    shutil.copy(package / "study.toml", SOURCE / "reference" / "study.toml")
    (SOURCE / "reference" / "commands.md").write_text(commands())
    for name in jax_backprop.__all__:
        getattr(jax_backprop, name)  # imported on first use, which Sphinx isn't
    failed = build_main(["-q", "-W", "--keep-going", "-b", "html", str(SOURCE), str(OUT)])
    if failed:
        sys.exit(failed)
    print(f"Documents: {OUT / 'index.html'}")


def commands() -> str:
    """Return the page of the commands: each one's own help."""
    page = "# Commands\n\nThis page is what each command's `--help` says.\n"
    for name in COMMANDS:
        page += f"\n## jax-backprop {name}\n\n```text\n{_help(name).rstrip()}\n```\n"
    return page


def _help(name: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        dispatch([*name.split(), "--help"])
    return re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())


if __name__ == "__main__":
    main()
