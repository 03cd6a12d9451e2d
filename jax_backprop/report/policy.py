"""What a page may do in a browser: run the scripts that it was written with, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence


def content_security_policy(scripts: Sequence[str] = ()) -> str:
    """Return a page's policy: these scripts by their hashes, its own styles, and no network.

    Vega compiles the expressions of a chart, so pages with scripts may do that.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    allowed = {
        "default-src": ["'none'"],
        "script-src": [*hashes, "'unsafe-eval'"] if scripts else ["'none'"],
        "style-src": ["'unsafe-inline'"],
        "img-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in allowed.items())
