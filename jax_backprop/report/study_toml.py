"""A study's settings as the TOML file that runs it again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def study_toml(study: Mapping[str, Any]) -> str:
    """Return the text of a study file with every field that has a value."""
    lines = [f"{name} = {toml_value(value)}" for name, value in _given(study) if name != "axes"]
    axes = [
        f"{toml_key(name)} = {toml_value(value)}" for name, value in _given(study.get("axes", {}))
    ]
    return "\n".join([*lines, "", "[axes]", *axes]) + "\n"


def _given(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in table.items() if value is not None and value != []]


def toml_key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(name)} = {toml_value(each)}" for name, each in _given(value))
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
