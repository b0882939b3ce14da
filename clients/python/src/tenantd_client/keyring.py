"""Opens what tenantd sealed: compact JWE, with the private keys of a JWK Set.

The rule: the kind of the key decides the algorithm, never the token; and a secret counts only for the row that its
plaintext names, or one moved to another row would send a tenant's users elsewhere.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from jwcrypto import jwe, jwk
from jwcrypto.common import JWException

from .credential import Credential
from .errors import CannotOpen, WhyNotOpen, words_of
from .rows import Row

Keyring = Mapping[str, Any]
"""A JWK Set (RFC 7517) with private keys, as `tenantd keys generate` makes it: `{"keys": [...]}`."""
KeyringSource = Keyring | Callable[[], Keyring | Awaitable[Keyring]]
"""A keyring, or what reads one: asked again whenever a secret names a key that the last one lacked."""

_ALGORITHMS = {"oct": "A256KW", "EC": "ECDH-ES+A256KW"}
_BOUND_TO = ("tenant_id", "host", "client_id")
"""What tells that a secret was sealed for this row."""


class Opener:
    """Opens rows."""

    def __init__(self, source: KeyringSource) -> None:
        self._source: Callable[[], Keyring | Awaitable[Keyring]]
        if callable(source):
            self._source = source
        else:
            keyring = _checked(source)
            self._source = lambda: keyring
        self._keyring: Keyring = {"keys": []}

    async def open(self, row: Row) -> Credential:
        """Raises `CannotOpen`."""

        def refusal(why: WhyNotOpen, detail: str) -> CannotOpen:
            return CannotOpen(row.external_id, row.version, why, key_id, detail)

        key_id: str | None = None
        token = jwe.JWE()
        try:
            token.deserialize(row.sealed)
            named = token.jose_header.get("kid")
            key_id = named if isinstance(named, str) else None
        except (ValueError, JWException) as error:
            raise refusal("Altered", "it is no JWE") from error
        try:
            key = await self._key(key_id)
        except Exception as error:
            raise refusal("NoKeyring", f"the keyring cannot be had: {words_of(error)}") from error
        if key is None:
            raise refusal("NoKey", f"the keyring has no key {key_id!r}")
        try:
            token.allowed_algs = [_ALGORITHMS[key["kty"]], "A256GCM"]
            token.decrypt(jwk.JWK(**key))
        except (KeyError, ValueError, TypeError, JWException) as error:
            raise refusal("Altered", "it was changed, or sealed with another key of that name") from error
        opened = _parsed(token.payload)
        for name in _BOUND_TO:
            if opened.get(name) != getattr(row, name):
                raise refusal("Moved", f"it was sealed for another row: its {name} differs")
        secret = opened.get("client_secret")
        if not isinstance(secret, str) or not secret:
            raise refusal("Altered", "it holds no secret")
        return Credential(row, secret)

    async def _key(self, key_id: str | None) -> Mapping[str, Any] | None:
        found = self._find(key_id)
        if found is None:
            given = self._source()
            self._keyring = _checked(await given if inspect.isawaitable(given) else given)
            found = self._find(key_id)
        return found

    def _find(self, key_id: str | None) -> Mapping[str, Any] | None:
        keys = cast("list[Mapping[str, Any]]", self._keyring["keys"])
        return next((key for key in keys if key_id is not None and key.get("kid") == key_id), None)


def _parsed(plaintext: bytes) -> Mapping[str, Any]:
    """What it says; of what is no object, nothing. The parser's own error would quote what it read."""
    try:
        opened = json.loads(plaintext)
    except ValueError:
        opened = None
    return opened if isinstance(opened, dict) else {}


def _checked(keyring: Keyring) -> Keyring:
    keys = keyring.get("keys") if isinstance(keyring, Mapping) else None
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise TypeError('the keyring must be a JWK Set: {"keys": [...]}')
    return keyring
