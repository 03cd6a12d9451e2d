"""Every page from one base: its policy, and the one look in light and dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from jax_backprop.errors import printable
from jax_backprop.report.palette import look
from jax_backprop.report.policy import content_security_policy


def read(name: str) -> str:
    """Return the text of a file of this folder."""
    return files("jax_backprop.report").joinpath(name).read_text(encoding="utf-8")


def render(
    name: str,
    scripts: Sequence[str] = (),
    *,
    filters: Mapping[str, Callable[..., Any]] | None = None,
    generator: str = "",
    **given: object,
) -> str:
    """Return a page from its template, which extends base.html.j2.

    Args:
      name: of the template.
      scripts: that the page may run.
      filters: that the template calls by these names.
      generator: the tag by which the page is known again, where a command may write over it.
      given: what the template names; a name that isn't given is an error.
    """
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(read),
    )
    environment.filters |= filters or {}
    return environment.get_template(name).render(
        look=Markup(look()),
        policy=content_security_policy(scripts),
        scripts=[Markup(script) for script in scripts],
        generator=generator,
        **given,
    )
