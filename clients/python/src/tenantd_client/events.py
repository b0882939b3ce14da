"""What a consumer tells beside its answers: for a log or a metric.

The rule: telling never disturbs: whoever listens may raise, and nothing waits for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .errors import without_frames, words_of

EventKind = Literal[
    "listening",
    "listen_lost",
    "database_lost",
    "database_back",
    "rotated",
    "removed",
    "cannot_open",
    "acknowledged",
]

_LOG = logging.getLogger("tenantd_client")
_WORDS: dict[EventKind, tuple[int, str]] = {
    "listening": (logging.INFO, "changes are heard of at once"),
    "listen_lost": (logging.WARNING, "changes are found by polling alone until it listens again"),
    "database_lost": (logging.WARNING, "the database could not be asked: what is cached serves on"),
    "database_back": (logging.INFO, "the database answers again"),
    "rotated": (logging.INFO, "a further version is used from now on"),
    "removed": (logging.WARNING, "its credential was withdrawn, and is forgotten"),
    "cannot_open": (logging.ERROR, "a version does not open; an older one that does serves meanwhile"),
    "acknowledged": (logging.INFO, "tenantd was told that this version is in use"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and to whom."""

    kind: EventKind
    external_id: str | None = None
    version: int | None = None
    error: BaseException | None = None

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        error = f" ({words_of(self.error)})" if self.error else ""
        return f"{self.external_id or 'tenantd'}{version}: {_WORDS[self.kind][1]}{error}"


Tell = Callable[[Event], object]


def log(event: Event) -> None:
    """Tells the logger `tenantd_client`."""
    _LOG.log(_WORDS[event.kind][0], "%s", event)


def teller(listener: Tell) -> Tell:
    """A teller that survives its listener."""

    def tell(event: Event) -> None:
        if event.error:
            without_frames(event.error)
        try:
            listener(event)
        except Exception:
            _LOG.exception("on_event raised")

    return tell
