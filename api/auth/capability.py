"""Owns tokens for exactly one generation: who holds one may watch it, or watch and cancel it.

Pure but for the clock they expire by. A token is `olg_` and a JWT signed by HMAC with one of the
operator's keys, named by `kid`; no other algorithm is read, and a token of an issuer is no token
of ours, nor the other way round. The secret in a share link is this and nothing else, so it may
stand in a URL, where an API key must not.
"""

import base64
import binascii
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

import jwt

from outlive.shared.errors import SettingsError, Unauthenticated
from outlive.shared.model.generation import is_id, is_tenant

PREFIX: Final = "olg_"
_ALGORITHM: Final = "HS256"
_TYPE: Final = "outlive-generation"
"""Also in the signed part: another thing signed with the same key by mistake is no token."""

_MIN_BYTES: Final = 32
_MALFORMED: Final = (
    "OUTLIVE_SIGNING_KEYS must be `<id>:<secret>`, several with commas between, each secret at least "
    "32 bytes in base64url; `outlive keys signing-key` prints one."
)


class Rights(StrEnum):
    """What the holder may do."""

    VIEW = "view"
    VIEW_CANCEL = "view+cancel"


class Capability(NamedTuple):
    """What one token says."""

    generation_id: str
    tenant: str
    rights: Rights


class Signer:
    """Makes and reads tokens. To rotate: add a new key behind the first everywhere, then put it first
    everywhere, and drop the old one when the last token it signed has expired."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """The first key signs."""
        self._keys = dict(keys)
        self._first = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the setting. Raises `SettingsError`."""
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            kid, _, secret = part.strip().partition(":")
            try:
                # Strictly: Python would skip what does not belong, and a typo would be another key.
                keys[kid] = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True)
            except (binascii.Error, ValueError) as error:
                raise SettingsError(_MALFORMED) from error
            if not kid or len(keys[kid]) < _MIN_BYTES:
                raise SettingsError(_MALFORMED)
        return cls(keys)

    def sign(self, capability: Capability, expires_at: int) -> str:
        """A token that is believed until then."""
        claims = {
            "typ": _TYPE,
            "gen": capability.generation_id,
            "tenant": capability.tenant,
            "rights": capability.rights.value,
            "exp": expires_at,
        }
        return PREFIX + jwt.encode(claims, self._keys[self._first], _ALGORITHM, headers={"kid": self._first})

    def read(self, token: str) -> Capability:
        """What it says. Raises `Unauthenticated`: forged, expired, or signed by a key that is gone."""
        try:
            signed = token.removeprefix(PREFIX)
            key = self._keys.get(jwt.get_unverified_header(signed).get("kid", ""))
            if key is None:
                raise Unauthenticated
            claims: dict[str, Any] = jwt.decode(signed, key, [_ALGORITHM], options={"require": ["exp"]})
            read = Capability(str(claims["gen"]), str(claims["tenant"]), Rights(claims["rights"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated from error
        if claims.get("typ") != _TYPE or not is_id(read.generation_id) or not is_tenant(read.tenant):
            raise Unauthenticated
        return read


def expiry(lasts_s: float) -> int:
    """The Unix second in which a token made now expires."""
    return int(time.time() + lasts_s)
