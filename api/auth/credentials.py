"""Owns the answer to: who is it that sends this credential, and what may he do?

Three kinds, told apart by how they begin: an API key, a token for one generation, and whatever is
left is for the issuer, if there is one. Knows nothing of requests; `callers.py` finds the credential.
"""

import asyncio
from typing import Final, NamedTuple, Self

from redis.asyncio import Redis

from outlive.api.auth import capability
from outlive.api.auth.capability import Capability, Rights, Signer
from outlive.api.auth.jwt_issuer import Issuer
from outlive.shared.errors import SettingsError, Unauthenticated
from outlive.shared.queue import apikeys
from outlive.shared.queue.apikeys import ApiKey, ApiKeys, Presented
from outlive.shared.settings import Settings
from outlive.shared.store.keyspace import Keys

_BELIEVED_S: Final = 5.0
"""How long a key that was found is not looked up again: so long may it live after it was revoked."""

_MAX_BELIEVED: Final = 1_000
_MAX_CHARS: Final = 8_192
_NO_SIGNER: Final = (
    "OUTLIVE_AUTH needs OUTLIVE_SIGNING_KEYS, the same on all API processes; `outlive keys signing-key` prints one."
)


class Caller(NamedTuple):
    """A tenant, or with a generation's id the holder of a token for that one alone."""

    tenant: str
    generation_id: str | None = None
    may_cancel: bool = True


class Credentials:
    """What this server believes."""

    def __init__(self, keys: ApiKeys, signer: Signer, issuer: Issuer | None) -> None:
        self._keys = keys
        self._signer = signer
        self._issuer = issuer
        self._believed: dict[str, tuple[ApiKey, float]] = {}

    @classmethod
    def of(cls, settings: Settings, redis: Redis, keys: Keys) -> "Self | None":
        """None where nobody is asked. Raises `SettingsError`."""
        if not settings.auth:
            return None
        if settings.signing_keys is None:
            raise SettingsError(_NO_SIGNER)
        issuer = None
        if settings.jwt_issuer and settings.jwt_audience:
            issuer = Issuer(
                settings.jwt_issuer,
                audience=settings.jwt_audience,
                jwks_url=settings.jwt_jwks_url,
                tenant_claim=settings.jwt_tenant_claim,
            )
        return cls(ApiKeys(redis, keys), Signer.parse(settings.signing_keys.get_secret_value()), issuer)

    async def caller(self, credential: str) -> Caller:
        """Who sends it. Raises `Unauthenticated`, `LogUnavailable` and `IssuerUnavailable`."""
        if len(credential) > _MAX_CHARS:
            raise Unauthenticated
        if credential.startswith(capability.PREFIX):
            said = self._signer.read(credential)
            return Caller(said.tenant, said.generation_id, may_cancel=said.rights is Rights.VIEW_CANCEL)
        if credential.startswith(apikeys.PREFIX):
            return Caller(await self._tenant_of_key(credential))
        if self._issuer is None:
            raise Unauthenticated
        return Caller(await self._issuer.tenant(credential))

    def mint(self, capability: Capability, expires_at: int) -> str:
        """A token for one generation."""
        return self._signer.sign(capability, expires_at)

    async def _tenant_of_key(self, text: str) -> str:
        presented = Presented.parse(text)
        if presented is None:
            raise Unauthenticated
        now = asyncio.get_running_loop().time()
        key, until = self._believed.get(presented.id, (None, 0.0))
        if now >= until:
            key = await self._keys.find(presented.id)
            # Only what was found is kept: guesses must not push out those who are here.
            if key is not None:
                self._believe(key, now)
        if key is None or not key.is_proved_by(presented.secret):
            raise Unauthenticated
        return key.tenant

    def _believe(self, key: ApiKey, now: float) -> None:
        self._believed.pop(key.id, None)
        while len(self._believed) >= _MAX_BELIEVED:
            self._believed.pop(next(iter(self._believed)))
        self._believed[key.id] = key, now + _BELIEVED_S
