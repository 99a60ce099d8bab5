"""Owns what `outlive keys` does: it creates, lists and revokes API keys in the Redis of the environment.

A tenant is whatever has a key; it may have several, so that one can be replaced by another.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from outlive.shared.queue.apikeys import ApiKey, ApiKeys, new_key
from outlive.shared.settings import load
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys

_SECRET_BYTES: Final = 32


def create(environ: Mapping[str, str], tenant: str, name: str) -> str:
    """Store a new key and return its text, which cannot be had again. Raises `OutliveError`."""

    async def add() -> str:
        key, text = new_key(tenant, name, now_s=time.time())
        async with _api_keys(environ) as keys:
            await keys.add(key)
        return text

    return asyncio.run(add())


def listed(environ: Mapping[str, str]) -> list[str]:
    """A line for each key: id, time, tenant, name; no secrets. Raises `OutliveError`."""

    async def read() -> list[ApiKey]:
        async with _api_keys(environ) as keys:
            return await keys.all()

    return [_line(key) for key in asyncio.run(read())]


def revoke(environ: Mapping[str, str], key_id: str) -> bool:
    """Revoke the key; False if there was no such key. Raises `OutliveError`."""

    async def remove() -> bool:
        async with _api_keys(environ) as keys:
            return await keys.revoke(key_id)

    return asyncio.run(remove())


def new_signing_key() -> str:
    """`<id>:<secret>`. The id begins with the day, because people rotate keys by age."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=")
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}:{secret}"


def _line(key: ApiKey) -> str:
    created = datetime.fromtimestamp(key.created_at, UTC).isoformat(timespec="seconds")
    return "  ".join((key.id, created, key.tenant, key.name))


@asynccontextmanager
async def _api_keys(environ: Mapping[str, str]) -> AsyncIterator[ApiKeys]:
    settings = load(environ)
    redis = connect(settings.redis_url, connections=1)
    try:
        yield ApiKeys(redis, Keys(settings.key_prefix))
    finally:
        await redis.aclose()
