"""Owns tenants as tests need them: a server that asks who calls, API keys, and headers that carry them."""

from typing import Final

from redis.asyncio import Redis

from shared.apikeys import ApiKeys, new_key
from tests.support.stack import Stack

SIGNING_KEY: Final = "test:" + "c2lnbmluZy1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGVzIQ"
AUTH: Final = {"auth": "true", "signing_keys": SIGNING_KEY}
"""Settings of a stack that asks."""

Bearer = list[tuple[str, str]]


async def api_key(stack: Stack, tenant: str) -> str:
    """A new key of this tenant."""
    key, text = new_key(tenant, "test")
    async with Redis.from_url(stack.redis.url) as redis:
        await ApiKeys(redis, stack.keys).add(key)
    return text


def secret_of(key: str) -> str:
    """What of an API key nobody may see again; it may hold underscores itself."""
    return key.split("_", 2)[2]


def bearer(credential: str) -> Bearer:
    """Headers that carry it."""
    return [("Authorization", f"Bearer {credential}")]
