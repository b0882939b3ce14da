"""Questions about single tenants, gathered: who asks while a statement is on its way is in the next, with all others.

The rule: one statement at a time. So thousands of tenants that are asked for at once, as after a start with an empty
cache, cost a few statements, and none of them waits for longer than those few take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from .rows import Row
from .tasks import end

BATCH = 500
"""How many tenants one statement asks for."""

T = TypeVar("T")
_Waiting = tuple[str, Callable[[int], object], "asyncio.Future[T]"]
Statement = Callable[[Sequence[str]], Awaitable[Callable[[str], T]]]


class Gatherer(Generic[T]):
    def __init__(self, statement: Statement[T], next_read: Callable[[], int] = lambda: 0) -> None:
        """`statement` gives what answers for each of these tenants; `next_read` numbers it."""
        self._statement = statement
        self._next_read = next_read
        self._waiting: list[_Waiting[T]] = []
        self._running: asyncio.Task[None] | None = None

    async def read(self, external_id: str, began: Callable[[int], object] = lambda _: None) -> T:
        """This tenant's answer. `began` is told the number of the statement when it is sent.

        Raises what the database says.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((external_id, began, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await answer

    async def close(self) -> None:
        """Ends the statement that is on its way."""
        if self._running:
            await end({self._running})

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            await self._ask(asked)

    async def _ask(self, waiting: Sequence[_Waiting[T]]) -> None:
        asked = [one for one in waiting if not one[2].done()]  # Closing ends whoever waits.
        if not asked:
            return
        read_at = self._next_read()
        for _, began, _ in asked:
            began(read_at)
        try:
            answer_of = await self._statement([external_id for external_id, _, _ in asked])
        except Exception as error:
            for _, _, waits in asked:
                if not waits.done():
                    waits.set_exception(error)
        else:
            for external_id, _, waits in asked:
                if not waits.done():
                    waits.set_result(answer_of(external_id))


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by their tenant."""
    by_tenant: dict[str, list[Row]] = {}
    for row in rows:
        by_tenant.setdefault(row.external_id, []).append(row)
    return by_tenant
