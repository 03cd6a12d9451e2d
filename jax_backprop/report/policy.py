"""What a page may do in a browser: run the scripts that it was written with, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence


def content_security_policy(scripts: Sequence[str] = ()) -> str:
    """Return a page's policy: these scripts by their hashes, its own styles, and no network.

    Vega reads a chart's expressions with its interpreter, so that no page compiles text.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    allowed = {
        "default-src": ["'none'"],
        "script-src": hashes or ["'none'"],
        "style-src": ["'unsafe-inline'"],
        "img-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in allowed.items())
