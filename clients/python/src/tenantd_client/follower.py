"""Keeps what is cached true: looks when something is heard, and from time to time whatever is heard.

The rule: polling alone suffices. Listening only makes it quicker; after a failure it looks again after a backoff, and
whatever it is woken by meanwhile waits for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .backoff import backoff, jitter
from .events import Event, Tell
from .listener import Listens
from .store import Store
from .tasks import end


class Follower:
    def __init__(
        self, store: Store, listener: Listens | None, *, poll: float, tell: Tell, now: Callable[[], float]
    ) -> None:
        """`listener` None: polls alone. `poll`: how often all that is cached is compared with the database."""
        self._store = store
        self._listener = listener
        self._poll = poll
        self._tell = tell
        self._now = now
        self._heard: set[str] = set()
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._poll_at = now() + poll
        self._failures = 0
        self._closed = False

    def start(self) -> None:
        """Does nothing when it runs already."""
        if self._tasks:
            return
        self._tasks.append(asyncio.create_task(self._run(), name="tenantd-follower"))
        if self._listener:
            self._tasks.append(asyncio.create_task(self._listener.run(self), name="tenantd-listener"))

    def wake(self) -> None:
        """There is something to be done earlier than was known."""
        self._woken.set()

    async def close(self) -> None:
        self._closed = True
        await end(self._tasks)

    def tenant(self, external_id: str) -> None:
        if self._store.follows(external_id):
            self._heard.add(external_id)
            self.wake()

    def up(self) -> None:
        self._tell(Event("listening"))
        self._poll_at = self._now()
        self.wake()

    def down(self, error: BaseException) -> None:
        self._tell(Event("listen_lost", error=error))

    async def _run(self) -> None:
        while not self._closed:
            self._woken.clear()
            try:
                following = await self._look()
                if self._failures > 0:
                    self._tell(Event("database_back"))
                self._failures = 0
            except Exception as error:
                if self._failures == 0:
                    self._tell(Event("database_lost", error=error))
                self._failures += 1
                # What was found out may be half of it: all is looked at.
                self._poll_at = self._now()
                await asyncio.sleep(backoff(self._failures, self._poll))
            else:
                try:
                    async with asyncio.timeout(max(0.0, following - self._now())):
                        await self._woken.wait()
                except TimeoutError:
                    pass

    async def _look(self) -> float:
        """Does all that is due; says when the next is."""
        await self._look_at_heard()
        if self._now() >= self._poll_at:
            # After a mass rotation it takes its time, and what is heard meanwhile does not wait for that.
            await self._store.sweep(self._look_at_heard)
            self._poll_at = self._now() + jitter(self._poll)
        return min(self._poll_at, await self._store.acknowledge(self._is_enough))

    async def _look_at_heard(self) -> None:
        if self._heard:
            ids = list(self._heard)
            self._heard.clear()
            await self._store.refresh(ids)

    def _is_enough(self) -> bool:
        """Acknowledgements hold up nothing that was heard, and no poll."""
        return bool(self._heard) or self._now() >= self._poll_at
