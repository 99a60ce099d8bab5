"""Owns tenants as tests need them: a server that asks who calls, API keys, and headers that carry them."""

import time
from typing import Final

from redis.asyncio import Redis

from outlive.shared.queue.apikeys import ApiKeys, Presented, new_key
from tests.support.stack import Stack

SIGNING_KEY: Final = "test:" + "c2lnbmluZy1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGVzIQ"
AUTH: Final = {"auth": "true", "signing_keys": SIGNING_KEY}
"""Settings of a stack that asks."""

Bearer = list[tuple[str, str]]


async def api_key(stack: Stack, tenant: str) -> str:
    """A new key of this tenant."""
    key, text = new_key(tenant, "test", now_s=time.time())
    async with Redis.from_url(stack.redis.url) as redis:
        await ApiKeys(redis, stack.keys).add(key)
    return text


def parts_of(key: str) -> Presented:
    """An API key's id, and the secret, which may hold underscores itself."""
    presented = Presented.parse(key)
    assert presented is not None
    return presented


def bearer(credential: str) -> Bearer:
    """Headers that carry it."""
    return [("Authorization", f"Bearer {credential}")]
