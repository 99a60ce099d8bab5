"""Owns tenants for tests: the settings of a server with authentication, API keys, and headers that carry them."""

import time
from typing import Final

from redis.asyncio import Redis

from outlive.shared.queue.apikeys import ApiKeys, Presented, new_key
from tests.support.stack import Stack

SIGNING_KEY: Final = "test:" + "c2lnbmluZy1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGVzIQ"
AUTH: Final = {"auth": "true", "signing_keys": SIGNING_KEY}
"""The settings of a stack with authentication."""

Bearer = list[tuple[str, str]]


async def api_key(stack: Stack, tenant: str) -> str:
    """Make an API key for this tenant, and return its text."""
    key, text = new_key(tenant, "test", now_s=time.time())
    async with Redis.from_url(stack.redis.url) as redis:
        await ApiKeys(redis, stack.keys).add(key)
    return text


def parts_of(key: str) -> Presented:
    """The id and the secret of an API key. The secret may contain underscores."""
    presented = Presented.parse(key)
    assert presented is not None
    return presented


def bearer(credential: str) -> Bearer:
    """The headers that carry this credential."""
    return [("Authorization", f"Bearer {credential}")]
