"""Owns tokens for exactly one generation: their holder may watch it, or watch and cancel it.

Pure: the clock is handed in. A token is `olg_` and a JWT signed by HMAC with one of the operator's keys,
named by `kid`. No other algorithm is accepted. An issuer's token is not valid here, and ours is not valid
as an issuer's. A share link holds such a token and no other secret, so a token may be part of a URL,
where an API key must not be.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

import jwt

from outlive.shared.errors import SettingsError, Unauthenticated
from outlive.shared.model.generation import is_id, is_tenant

PREFIX: Final = "olg_"
_ALGORITHM: Final = "HS256"
_TYPE: Final = "outlive-generation"
"""Part of the signed claims, so that anything else signed with the same key by mistake is not a token."""

_MIN_BYTES: Final = 32
_MALFORMED: Final = (
    "OUTLIVE_SIGNING_KEYS is not a list of `<id>:<secret>`, separated by commas, with secrets of at least "
    "32 bytes in base64url. `outlive keys signing-key` prints a valid entry."
)

Clock = Callable[[], float]


class Rights(StrEnum):
    """What the holder may do."""

    VIEW = "view"
    VIEW_CANCEL = "view+cancel"


class Capability(NamedTuple):
    """The content of one token."""

    generation_id: str
    tenant: str
    rights: Rights


class Signer:
    """Makes and reads tokens. To rotate keys: append the new key on every server, then put it first on every
    server, then remove the old one when the last token it signed has expired."""

    def __init__(self, keys: Mapping[str, bytes], clock: Clock) -> None:
        """The first key signs, all are accepted. `clock` gives Unix seconds."""
        self._keys = dict(keys)
        self._first = next(iter(self._keys))
        self._clock = clock

    @classmethod
    def parse(cls, text: str, clock: Clock) -> Self:
        """From the setting `OUTLIVE_SIGNING_KEYS`. Raises `SettingsError`."""
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            kid, _, secret = part.strip().partition(":")
            try:
                # Strict: Python skips characters outside the alphabet, so a typo would be another key.
                keys[kid] = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True)
            except (binascii.Error, ValueError) as error:
                raise SettingsError(_MALFORMED) from error
            if not kid or len(keys[kid]) < _MIN_BYTES:
                raise SettingsError(_MALFORMED)
        return cls(keys, clock)

    def expiry(self, lasts_s: float) -> int:
        """The Unix second in which a token made now expires."""
        return int(self._clock() + lasts_s)

    def sign(self, capability: Capability, expires_at: int) -> str:
        """A token that is valid until that Unix second."""
        claims = {
            "typ": _TYPE,
            "gen": capability.generation_id,
            "tenant": capability.tenant,
            "rights": capability.rights.value,
            "exp": expires_at,
        }
        return PREFIX + jwt.encode(claims, self._keys[self._first], _ALGORITHM, headers={"kid": self._first})

    def read(self, token: str) -> Capability:
        """The content of a token. Raises `Unauthenticated` when it is forged, expired, or signed by a key that
        was removed."""
        try:
            signed = token.removeprefix(PREFIX)
            key = self._keys.get(jwt.get_unverified_header(signed).get("kid", ""))
            if key is None:
                raise Unauthenticated
            # PyJWT compares `exp` with a clock of its own; ours is handed in.
            options = {"require": ["exp"], "verify_exp": False}
            claims: dict[str, Any] = jwt.decode(signed, key, [_ALGORITHM], options=options)  # type: ignore[arg-type]  # a TypedDict there
            is_expired = int(claims["exp"]) <= self._clock()
            capability = Capability(str(claims["gen"]), str(claims["tenant"]), Rights(claims["rights"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise Unauthenticated from error
        is_ours = claims.get("typ") == _TYPE and is_id(capability.generation_id) and is_tenant(capability.tenant)
        if is_expired or not is_ours:
            raise Unauthenticated
        return capability
