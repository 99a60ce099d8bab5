"""Owns API keys: their form, and the list of them on the queue plane.

A key is `olk_<id>_<secret>`. The id finds it, and the secret (256 random bits) proves it. Redis has only the secret's
hash, so reading Redis gives nobody a key. A plain hash is enough, because nobody can guess 256 bits. Raises
`LogUnavailable`.
"""

import hmac
import re
import secrets
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import decode_json, encode_json
from outlive.shared.model.generation import is_tenant
from outlive.shared.store.connect import translated
from outlive.shared.store.keyspace import Keys

PREFIX: Final = "olk_"
"""Makes a key recognisable to secret scanners if it gets into a repository or a log."""

_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NAME: Final = re.compile(r"[\x20-\x7e]{0,100}", re.ASCII)


class Presented(NamedTuple):
    """A key as a client sends it."""

    id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "Presented | None":
        """None when the text does not have the form of a key."""
        match = _KEY.fullmatch(text)
        return cls(match[1], match[2]) if match else None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What Redis stores of a key. `created_at` in seconds since 1970."""

    id: str
    tenant: str
    name: str
    created_at: float
    digest: str

    def is_proved_by(self, secret: str) -> bool:
        """Whether this is the key's secret, compared in constant time."""
        return hmac.compare_digest(self.digest, _digest(secret))


def new_key(tenant: str, name: str, *, now_s: float) -> tuple[ApiKey, str]:
    """The key to store, and the text to hand out, which is stored nowhere. `now_s` since 1970. Raises `BadRequest`."""
    if not is_tenant(tenant):
        raise BadRequest("The tenant's name is not valid; use 1 to 128 letters, digits and `_ . @ | : + = / -`.")
    if not _NAME.fullmatch(name):
        raise BadRequest("The key's name is not valid; use at most 100 printable ASCII characters.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(_SECRET_BYTES)
    return ApiKey(key_id, tenant, name, round(now_s, 3), _digest(secret)), f"{PREFIX}{key_id}_{secret}"


class ApiKeys:
    """All keys of one Outlive."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        # redis-py types these commands for its synchronous client as well.
        self._redis: Any = redis
        self._at = keys.api_keys

    async def add(self, key: ApiKey) -> None:
        """Store it; it is valid from now on."""
        with translated():
            await self._redis.hset(self._at, key.id, encode_json(asdict(key)))

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this id; None if there is none."""
        with translated():
            stored = await self._redis.hget(self._at, key_id)
        return _key(stored) if stored else None

    async def all(self) -> list[ApiKey]:
        """All keys, oldest first."""
        with translated():
            stored = await self._redis.hvals(self._at)
        return sorted(map(_key, stored), key=lambda key: key.created_at)

    async def revoke(self, key_id: str) -> bool:
        """Remove the key; whether there was one."""
        with translated():
            return bool(await self._redis.hdel(self._at, key_id))


def _key(data: bytes) -> ApiKey:
    return ApiKey(**decode_json(data))


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
