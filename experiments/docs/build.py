"""Build the reference of the package from its docstrings: `make docs`."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pdoc

import jax_backprop

OUT = Path(__file__).parents[1] / "results" / "docs"


def main() -> None:
    """Write a page a module; the public names are documented where they are found."""
    names = [jax_backprop.__name__]
    names += [each.name for each in pkgutil.iter_modules(jax_backprop.__path__, "jax_backprop.")]
    for name in names:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):  # imported on first use, which pdoc isn't
            setattr(module, public, getattr(module, public))
    pdoc.render.configure(docformat="google", show_source=False)
    public = [name for name in names if not name.endswith("__main__")]
    pdoc.pdoc(*public, "!jax_backprop.cli", output_directory=OUT)
    print(f"Reference: {OUT / 'index.html'}")


if __name__ == "__main__":
    main()
