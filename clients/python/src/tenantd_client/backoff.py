"""How long to wait after failures in a row.

The rule: never all instances at once: what is waited for is chance, between half and all of the bound.
"""

from __future__ import annotations

import random

BASE = 0.25


def backoff(failures: int, cap: float) -> float:
    """After so many failures in a row, in seconds."""
    return jitter(min(cap, BASE * 2.0 ** min(failures - 1, 20)))


def jitter(bound: float) -> float:
    """Between half and all of it."""
    return bound * random.uniform(0.5, 1.0)  # noqa: S311 (nothing is kept secret by it)
