"""Opens what tenantd sealed: compact JWE, with the private keys of a JWK Set.

The rule: the kind of the key decides the algorithm, never the token; and a secret counts only for the row that its
plaintext names, or one moved to another row would send a tenant's users elsewhere.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, cast

from jwcrypto import jwe, jwk

from .credential import Credential
from .errors import CannotOpen, WhyNotOpen, causes_of, without_frames, words_of
from .rows import Row
from .tasks import is_cancelled

Keyring = Mapping[str, Any]
"""A JWK Set (RFC 7517) with private keys, as `tenantd keys generate` makes it: `{"keys": [...]}`."""
KeyringSource = Keyring | Callable[[], Keyring | Awaitable[Keyring]]
"""A keyring, or what reads one: asked again, once a second at most, for a key that the last one lacked."""

_ALGORITHMS = {"oct": "A256KW", "EC": "ECDH-ES+A256KW"}
_PAUSE = 1.0
"""How long nobody is asked again: a fleet that was sealed with a missing key would ask for it without end."""
_BOUND_TO = ("tenant_id", "host", "client_id")
"""What tells that a secret was sealed for this row."""


class Opener:
    """Opens rows."""

    def __init__(self, source: KeyringSource, timeout: float, now: Callable[[], float] = monotonic) -> None:
        """`timeout`: how long to wait for what the source gives."""
        self._source: Callable[[], Keyring | Awaitable[Keyring]]
        if callable(source):
            self._source = source
        else:
            keyring = _checked(source)
            self._source = lambda: keyring
        self._keyring: Keyring = {"keys": []}
        self._fault: BaseException | None = None
        """Why the source gave none the last time."""
        self._timeout = timeout
        self._now = now
        self._ask_again_at = -math.inf
        self._asking = asyncio.Lock()
        self._opening = asyncio.Lock()

    async def open(self, row: Row) -> Credential:
        """Raises `CannotOpen`, whatever is wrong with the row or the keyring: one row must not harm the others.

        It is never raised while another error is handled, nor from one that may hold what it read, nor where a variable
        holds a key or what was opened: collectors of errors write those down.
        """
        opened = await self._opened(row)
        if isinstance(opened, CannotOpen):
            raise opened
        return opened

    async def _opened(self, row: Row) -> Credential | CannotOpen:
        def refusal(why: WhyNotOpen, detail: str) -> CannotOpen:
            return CannotOpen(row.external_id, row.version, why, key_id, detail)

        key_id: str | None = None
        token = _token_of(row.sealed)
        if token is None:
            return refusal("Altered", "it is no JWE")
        key_id = _key_id_of(token)
        key, fault = await self._key_or_fault(key_id)
        if fault and _is_of_parser(fault):
            return refusal("NoKeyring", "the keyring cannot be had: it is no JSON")
        if fault:
            refused = refusal("NoKeyring", f"the keyring cannot be had: {words_of(fault)}")
            refused.__cause__ = without_frames(fault)
            return refused
        if key is None:
            return refusal("NoKey", f"the keyring has no key {key_id!r}")
        async with self._opening:
            opened = _decrypted(token, key)
            # Other work has its turn between one and the next: after a start there are thousands.
            await asyncio.sleep(0)
        if opened is None:
            return refusal("Altered", "it was changed, or sealed with another key of that name")
        for name in _BOUND_TO:
            if opened.get(name) != getattr(row, name):
                return refusal("Moved", f"it was sealed for another row: its {name} differs")
        secret = opened.get("client_secret")
        if not isinstance(secret, str) or not secret:
            return refusal("Altered", "it holds no secret")
        return Credential(row, secret)

    async def _key_or_fault(self, key_id: str | None) -> tuple[Mapping[str, Any] | None, BaseException | None]:
        if found := self._find(key_id):
            return found, None
        async with self._asking:
            # All who miss a key share what is read.
            if self._find(key_id) is None and self._now() >= self._ask_again_at:
                self._fault = await self._read()
                self._ask_again_at = self._now() + _PAUSE
        found = self._find(key_id)
        return found, None if found else self._fault

    async def _read(self) -> BaseException | None:
        try:
            given = self._source()
            async with asyncio.timeout(self._timeout):
                self._keyring = _checked(await given if inspect.isawaitable(given) else given)
        except Exception as error:
            return error
        except asyncio.CancelledError as error:
            # Unless it is we who are to end, it was something that the app's own function waited for.
            if is_cancelled():
                raise
            return error
        return None

    def _find(self, key_id: str | None) -> Mapping[str, Any] | None:
        keys = cast("list[Mapping[str, Any]]", self._keyring["keys"])
        return next((key for key in keys if key_id is not None and key.get("kid") == key_id), None)


def _token_of(sealed: str) -> jwe.JWE | None:
    token = jwe.JWE()
    try:
        token.deserialize(sealed)
        _key_id_of(token)
    except Exception:
        # Whoever writes the row decides what the parsers meet.
        return None
    return token


def _key_id_of(token: jwe.JWE) -> str | None:
    named = token.jose_header.get("kid")
    return named if isinstance(named, str) else None


def _decrypted(token: jwe.JWE, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What it says; of what is no object, nothing. None: it does not open with this key."""
    try:
        token.allowed_algs = [_ALGORITHMS[key["kty"]], "A256GCM"]
        token.decrypt(jwk.JWK(**key))
        opened = json.loads(token.payload)
    except Exception:
        return None
    return opened if isinstance(opened, dict) else {}


def _is_of_parser(error: BaseException) -> bool:
    """Whether it comes of a parser, whose errors hold what they read."""
    return any(isinstance(one, UnicodeError) or hasattr(one, "doc") for one in causes_of(error))


def _checked(keyring: Keyring) -> Keyring:
    keys = keyring.get("keys") if isinstance(keyring, Mapping) else None
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise TypeError('the keyring must be a JWK Set: {"keys": [...]}')
    return keyring
