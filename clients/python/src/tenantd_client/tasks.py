"""Ending what was begun.

The rule: whoever ends tasks waits until they have ended, and never for itself: what an app gives us (a keyring, a
transport) runs in our tasks, and may close the consumer from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels them, and waits until they have ended."""
    others = {task for task in tasks if not task.done()} - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


def is_cancelled() -> bool:
    """Whether somebody wants the current task to end; where nobody does, it was a wait of its own that was ended."""
    current = asyncio.current_task()
    return bool(current and current.cancelling())
