"""Listens on the contract's channel, on a connection of its own, for as long as the consumer is open.

The rule: what is heard is a hint to look, and never believed: anybody who may connect can say anything there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Protocol

from .backoff import backoff
from .database import checked, connect, cut, within

_CHANNEL = "tenantd_events"
_CAP = 30.0


class Heard(Protocol):
    def tenant(self, external_id: str) -> None:
        """Something happened to this tenant."""

    def up(self) -> None:
        """From now on all is heard; what happened before was not."""

    def down(self, error: BaseException) -> None:
        """Nothing is heard until the next `up`."""


class Listens(Protocol):
    async def run(self, heard: Heard) -> None:
        """Until it is cancelled."""


class Listener:
    def __init__(self, conninfo: str, timeout: float, check: float) -> None:
        """`check`: how often to ask whether the connection still lives, in seconds."""
        self._conninfo = checked(conninfo)
        self._timeout = timeout
        self._check = check
        self._failures = 0

    async def run(self, heard: Heard) -> None:
        while True:
            try:
                await self._listen(heard)
            except Exception as error:
                heard.down(error)
                self._failures += 1
                await asyncio.sleep(backoff(self._failures, _CAP))

    async def _listen(self, heard: Heard) -> None:
        connection = await connect(self._conninfo, self._timeout)
        try:
            await within(connection, self._timeout, connection.execute(f"LISTEN {_CHANNEL}"))
            self._failures = 0
            heard.up()
            while True:
                async for notification in connection.notifies(timeout=self._check):
                    if (external_id := tenant_of(notification.payload)) is not None:
                        heard.tenant(external_id)
                await within(connection, self._timeout, connection.execute("SELECT 1"))
        finally:
            # A server that does not answer says no goodbye: its connection is dropped all the same.
            cut(connection)
            with contextlib.suppress(Exception):
                await connection.close()


def tenant_of(payload: str) -> str | None:
    """Whom a notification is about; what is not of the contract is about nobody."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    external_id = said.get("external_id") if isinstance(said, dict) else None
    return external_id if isinstance(external_id, str) else None
