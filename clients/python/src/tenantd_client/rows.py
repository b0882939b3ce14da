"""What the database says, as the rest of the library knows it: no driver in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `tenantd.credentials`."""

    tenant_id: str
    external_id: str
    host: str
    client_id: str
    version: int
    stage: str
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """What `tenantd.status` says of a tenant."""

    phase: str
    ready: bool
    reason: str | None
    message: str | None
    version: int | None


class NotToBeRead:
    """This login may not read that."""


class Database(Protocol):
    """What is asked of a database. All of it may fail with any exception."""

    async def read(self, external_ids: Sequence[str]) -> Sequence[Row]:
        """All rows of these tenants, the highest version first."""
        ...

    async def versions(self, external_ids: Sequence[str]) -> Mapping[str, int]:
        """The highest version of each of these tenants that has one."""
        ...

    async def acknowledge(self, external_id: str, version: int) -> bool:
        """Whether that version is the current one still, and so was acknowledged."""
        ...

    async def status(self, external_ids: Sequence[str]) -> Mapping[str, Status] | NotToBeRead:
        """Of each of these tenants that there is."""
        ...

    async def close(self) -> None: ...
