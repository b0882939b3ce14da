"""What is known of tenants: a bounded map, from which whoever was not asked for longest goes first.

The rule: what was read later wins, whatever arrives later; and a version never goes back to a lower one, unless Qlik
took that one instead: numbers only rise, so a database that tells of a lower one has forgotten something.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from .credential import Credential


@dataclass(slots=True)
class Due:
    """An acknowledgement to be made."""

    version: int
    since: float | None = None
    """From when on; None: nobody has used that version yet."""
    failures: int = 0


@dataclass(slots=True)
class Held:
    """A tenant that had a credential when it was last looked at, or before."""

    credential: Credential | None
    """None: it was removed."""
    version: int
    """The highest version there was, which may be one that does not open here."""
    read_at: int
    """The number of the read that told so."""
    lower: Held | None = None
    """What a read after a refusal found, of a lower version: it is held instead as soon as Qlik takes it."""
    acknowledge: Due | None = None
    acknowledged: int | None = None


class Cache:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, Held] = OrderedDict()

    def get(self, external_id: str) -> Held | None:
        """For whoever asks for it now."""
        held = self._held.get(external_id)
        if held:
            self._held.move_to_end(external_id)
        return held

    def peek(self, external_id: str) -> Held | None:
        """For whoever looks after it."""
        return self._held.get(external_id)

    def ids(self) -> list[str]:
        return list(self._held)

    def accepts(self, external_id: str, read_at: int, version: int) -> bool:
        """Whether what a read found is newer than what is held."""
        held = self._held.get(external_id)
        if held is None:
            return True
        if held.read_at > read_at:
            return False
        known = held.credential
        return known is None or version >= known.version

    def is_lower(self, external_id: str, read_at: int, version: int) -> bool:
        """Whether what a read found is of a lower version than what is held, and was read no earlier."""
        held = self._held.get(external_id)
        return bool(held and held.credential and held.read_at <= read_at and version < held.credential.version)

    def put(self, external_id: str, held: Held) -> None:
        if external_id not in self._held and len(self._held) >= self._limit:
            self._held.popitem(last=False)
        self._held[external_id] = held

    def remove(self, external_id: str, read_at: int) -> bool:
        """A read found nothing of this tenant; says whether that is news."""
        held = self._held.get(external_id)
        if held is None or held.read_at > read_at:
            return False
        is_news = held.credential is not None
        self._held[external_id] = Held(None, held.version, read_at)
        return is_news
