"""Owns whom a credential belongs to, and what its sender may do.

There are three kinds, told apart by their prefix: API keys, tokens for one generation, and everything
else, which is for the issuer if one is configured. Knows nothing of requests; `http/callers.py` finds the
credential in one.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Self

from redis.asyncio import Redis

from outlive.api.auth import capability
from outlive.api.auth.capability import Capability, Rights, Signer
from outlive.api.auth.jwt_issuer import Issuer, default_jwks_url, keys_at
from outlive.shared.errors import SettingsError, Unauthenticated
from outlive.shared.queue import apikeys
from outlive.shared.queue.apikeys import ApiKey, ApiKeys, Presented
from outlive.shared.settings import Settings
from outlive.shared.store.keyspace import Keys

_KEY_VALID_S: Final = 5.0
"""How long a key is not read again from Redis: a revoked key works for at most this time."""

_MAX_CACHED_KEYS: Final = 1_000
_MAX_CHARS: Final = 8_192
_NO_SIGNER: Final = (
    "OUTLIVE_AUTH is true, but OUTLIVE_SIGNING_KEYS is not set. Set it to the same value on all API "
    "processes; `outlive keys signing-key` prints a key."
)


class Caller(NamedTuple):
    """A tenant; or, if `generation_id` is set, the holder of a token for that generation alone."""

    tenant: str
    generation_id: str | None = None
    may_cancel: bool = True


class Credentials:
    """All credentials this server accepts."""

    def __init__(
        self,
        find_key: Callable[[str], Awaitable[ApiKey | None]],
        signer: Signer,
        issuer: Issuer | None,
        *,
        clock: Callable[[], float],
    ) -> None:
        """`find_key` looks up an API key by its id; `clock` is monotonic, in seconds."""
        self._find_key = find_key
        self._signer = signer
        self._issuer = issuer
        self._clock = clock
        self._cached_keys: dict[str, tuple[ApiKey, float]] = {}

    @classmethod
    def of(cls, settings: Settings, redis: Redis, keys: Keys) -> "Self | None":
        """None if callers need not authenticate. Raises `SettingsError`."""
        if not settings.auth:
            return None
        if settings.signing_keys is None:
            raise SettingsError(_NO_SIGNER)
        issuer = None
        if settings.jwt_issuer and settings.jwt_audience:
            issuer = Issuer(
                settings.jwt_issuer,
                keys_at(settings.jwt_jwks_url or default_jwks_url(settings.jwt_issuer)),
                audience=settings.jwt_audience,
                tenant_claim=settings.jwt_tenant_claim,
                clock=time.monotonic,
            )
        signer = Signer.parse(settings.signing_keys.get_secret_value(), time.time)
        return cls(ApiKeys(redis, keys).find, signer, issuer, clock=time.monotonic)

    async def caller(self, credential: str) -> Caller:
        """The sender of a credential. Raises `Unauthenticated`, `LogUnavailable` and `IssuerUnavailable`."""
        if len(credential) > _MAX_CHARS:
            raise Unauthenticated
        if credential.startswith(capability.PREFIX):
            held = self._signer.read(credential)
            return Caller(held.tenant, held.generation_id, may_cancel=held.rights is Rights.VIEW_CANCEL)
        if credential.startswith(apikeys.PREFIX):
            return Caller(await self._tenant_of_key(credential))
        if self._issuer is None:
            raise Unauthenticated
        return Caller(await self._issuer.tenant(credential))

    def sign(self, capability: Capability, lasts_s: float) -> tuple[str, int]:
        """A token for one generation, and the Unix second in which it expires."""
        expires_at = self._signer.expiry(lasts_s)
        return self._signer.sign(capability, expires_at), expires_at

    async def _tenant_of_key(self, text: str) -> str:
        presented = Presented.parse(text)
        if presented is None:
            raise Unauthenticated
        now = self._clock()
        key, valid_until = self._cached_keys.get(presented.id, (None, now))
        if now >= valid_until:
            key = await self._find_key(presented.id)
            # Unknown ids are not cached: guesses must not push out the keys in use.
            if key is not None:
                self._cache(key, now)
        if key is None or not key.is_proved_by(presented.secret):
            raise Unauthenticated
        return key.tenant

    def _cache(self, key: ApiKey, now: float) -> None:
        self._cached_keys.pop(key.id, None)
        while len(self._cached_keys) >= _MAX_CACHED_KEYS:
            self._cached_keys.pop(next(iter(self._cached_keys)))
        self._cached_keys[key.id] = key, now + _KEY_VALID_S
