"""Owns API keys: what one looks like, and the list of them on the queue plane.

A key is `olk_<id>_<secret>`. The id finds it, the secret (256 random bits) proves it; only the
secret's hash is kept, so whoever reads Redis has no key. A plain hash will do: nobody guesses 256
bits, however fast he may try. Raises `LogUnavailable`.
"""

import hmac
import re
import secrets
import time
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
"""Makes a key that got into a repository or a log recognisable to those who look for such."""

_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NAME: Final = re.compile(r"[\x20-\x7e]{0,100}", re.ASCII)


class Presented(NamedTuple):
    """A key as a caller sends it."""

    id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "Presented | None":
        """None when it cannot be one."""
        found = _KEY.fullmatch(text)
        return cls(found[1], found[2]) if found else None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of one."""

    id: str
    tenant: str
    name: str
    created_at: float
    digest: str

    def is_proved_by(self, secret: str) -> bool:
        return hmac.compare_digest(self.digest, _digest(secret))


def new_key(tenant: str, name: str) -> tuple[ApiKey, str]:
    """A key to keep, and the text to hand out, which is nowhere after that. Raises `BadRequest`."""
    if not is_tenant(tenant):
        raise BadRequest("A tenant's name is 1 to 128 letters, digits and `_ . @ | : + = / -`.")
    if not _NAME.fullmatch(name):
        raise BadRequest("A key's name is at most 100 printable ASCII characters.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(_SECRET_BYTES)
    return ApiKey(key_id, tenant, name, round(time.time(), 3), _digest(secret)), f"{PREFIX}{key_id}_{secret}"


class ApiKeys:
    """All keys of one Outlive."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        # redis-py types these commands for its synchronous client as well.
        self._redis: Any = redis
        self._at = keys.api_keys

    async def add(self, key: ApiKey) -> None:
        with translated():
            await self._redis.hset(self._at, key.id, encode_json(asdict(key)))

    async def find(self, key_id: str) -> ApiKey | None:
        with translated():
            found = await self._redis.hget(self._at, key_id)
        return _key(found) if found else None

    async def all(self) -> list[ApiKey]:
        """Oldest first."""
        with translated():
            found = await self._redis.hvals(self._at)
        return sorted(map(_key, found), key=lambda key: key.created_at)

    async def revoke(self, key_id: str) -> bool:
        """Whether there was one."""
        with translated():
            return bool(await self._redis.hdel(self._at, key_id))


def _key(data: bytes) -> ApiKey:
    return ApiKey(**decode_json(data))


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
