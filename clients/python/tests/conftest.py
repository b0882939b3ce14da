"""What every test has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from .support import Stage

Open = Callable[..., Stage]


@pytest.fixture
async def stage() -> AsyncIterator[Open]:
    """Opens stages, and closes their consumers at the end."""
    opened: list[Stage] = []

    def open_stage(**options: Any) -> Stage:
        opened.append(Stage(**options))
        return opened[-1]

    yield open_stage
    for one in opened:
        await one.consumer.close()
