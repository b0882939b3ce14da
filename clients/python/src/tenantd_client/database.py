"""What is asked of the database: no more than the role tenantd_consumer may, and tenantd.status where the login may.

The rule: each statement stands alone, so that any pooler will do; none waits for longer than it was told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, scalar_row, tuple_row

from .rows import NotToBeRead, Row, Status

T = TypeVar("T")
Connection = psycopg.AsyncConnection[Any]

READ = """
  SELECT tenant_id::text, external_id, host, client_id, version, stage, sealed
    FROM tenantd.credentials
   WHERE external_id = ANY(%s::text[])
   ORDER BY version DESC"""
VERSIONS = """
  SELECT external_id, max(version)
    FROM tenantd.credentials
   WHERE external_id = ANY(%s::text[])
   GROUP BY external_id"""
ACKNOWLEDGE = """
  WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '500ms', true))
  SELECT tenantd.acknowledge(%s::text, %s::integer) FROM patience"""
"""For a row that somebody has locked it waits no longer: the server would go on waiting where we have long left, and
the next time is soon enough."""
MAY_READ_STATUS = """
  SELECT has_table_privilege('tenantd.status', 'SELECT')
     AND has_function_privilege('tenantd.clock()', 'EXECUTE')"""
STATUS = """
  SELECT external_id, phase, ready, reason, message, version
    FROM tenantd.status
   WHERE external_id = ANY(%s::text[])"""


_ENDS_EARLY = re.compile(r"\w+://[^/?]*/[^?]*@")


def checked(conninfo: str) -> str:
    """Before it is used, because an error of the driver would quote it, and the password with it."""
    try:
        ports = str(psycopg.conninfo.conninfo_to_dict(conninfo).get("port", ""))
        # A password that is not encoded may end the host's part early, and reads as a port, or its @ comes late.
        is_read = all(not port or (port.isascii() and port.isdigit()) for port in ports.split(","))
        is_read = is_read and not _ENDS_EARLY.match(conninfo)
    except (psycopg.Error, ValueError, AttributeError):  # The last of what is no text.
        is_read = False
    if not is_read:
        raise ValueError("the address of the database cannot be read: it must be a URL or conninfo")
    return conninfo


async def connect(conninfo: str, timeout: float) -> Connection:
    """A connection that needs nothing of the server's session, because a pooler may change it under us."""
    # Named for the server's own lists, unless the caller named it.
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    name = given.get("application_name", "tenantd-client")
    async with asyncio.timeout(timeout):
        return await psycopg.AsyncConnection.connect(
            conninfo, autocommit=True, prepare_threshold=None, application_name=name
        )


async def within(connection: Connection, timeout: float, statement: Awaitable[T]) -> T:
    """The statement's result. When its time is over its connection is cut: a server that hangs hears no cancelling."""
    task = asyncio.ensure_future(statement)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    except asyncio.CancelledError:
        cut(connection)
        await asyncio.wait({task})  # Ends now, because its connection did.
        _ = task.cancelled() or task.exception()
        raise
    if done:
        return task.result()
    cut(connection)
    with contextlib.suppress(Exception):
        await task
    raise TimeoutError(f"no answer after {timeout:g} s")


def cut(connection: Connection) -> None:
    """Ends the connection below the driver, whatever that waits for: it sees the server's end, at once."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as below:
        below.shutdown(socket.SHUT_RDWR)


def is_of_connection(error: psycopg.Error) -> bool:
    """Whether it speaks of the connection, and not of the statement, as where a lock was not to be had in time."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


class PgDatabase:
    """Statements on one connection, which is made anew when it is lost."""

    def __init__(self, conninfo: str, timeout: float) -> None:
        self._conninfo = checked(conninfo)
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._may_read_status: bool | None = None
        self._closed = False

    async def read(self, external_ids: Sequence[str]) -> Sequence[Row]:
        async def statement(connection: Connection) -> list[Row]:
            async with connection.cursor(row_factory=class_row(Row)) as cursor:
                return await (await cursor.execute(READ, [list(external_ids)])).fetchall()

        return await self._do(statement)

    async def versions(self, external_ids: Sequence[str]) -> dict[str, int]:
        async def statement(connection: Connection) -> dict[str, int]:
            async with connection.cursor(row_factory=tuple_row) as cursor:
                return dict(await (await cursor.execute(VERSIONS, [list(external_ids)])).fetchall())

        return await self._do(statement)

    async def acknowledge(self, external_id: str, version: int) -> bool:
        async def statement(connection: Connection) -> None:
            await connection.execute(ACKNOWLEDGE, [external_id, version])

        try:
            await self._do(statement)
        except psycopg.errors.NoDataFound:
            return False
        return True

    async def status(self, external_ids: Sequence[str]) -> dict[str, Status] | NotToBeRead:
        async def may(connection: Connection) -> bool:
            async with connection.cursor(row_factory=scalar_row) as cursor:
                return bool(await (await cursor.execute(MAY_READ_STATUS)).fetchone())

        async def statement(connection: Connection) -> dict[str, Status]:
            async with connection.cursor(row_factory=tuple_row) as cursor:
                rows = await (await cursor.execute(STATUS, [list(external_ids)])).fetchall()
                return {external_id: Status(*said) for external_id, *said in rows}

        # Asked once, and not tried: each refusal would be an error in the server's log.
        if self._may_read_status is None:
            self._may_read_status = await self._do(may)
        return await self._do(statement) if self._may_read_status else NotToBeRead()

    async def close(self) -> None:
        self._closed = True
        if self._connection:
            cut(self._connection)
            await self._connection.close()

    async def _do(self, statement: Callable[[Connection], Awaitable[T]]) -> T:
        began = monotonic()
        try:
            return await self._once(statement)
        except psycopg.OperationalError as error:
            # A connection of before the server's restart: the next one is new. All statements may be repeated.
            if not is_of_connection(error) or monotonic() - began > self._timeout / 2:
                raise
            return await self._once(statement)

    async def _once(self, statement: Callable[[Connection], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._timeout):
            await self._lock.acquire()
        try:
            if self._closed:
                raise psycopg.InterfaceError("it was closed")
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._conninfo, self._timeout)
            return await within(self._connection, self._timeout, statement(self._connection))
        except BaseException as error:
            # One that only spoke of the statement leaves the connection as it was.
            if self._connection and not (isinstance(error, psycopg.Error) and not self._connection.broken):
                await self._connection.close()
                self._connection = None
            raise
        finally:
            self._lock.release()
