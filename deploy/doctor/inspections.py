"""Owns the asking: Redis, providers, this machine. Each look ends in findings, whatever it meets."""

import asyncio
import resource
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from outlive.deploy.doctor import findings
from outlive.deploy.doctor.findings import Finding, Grade
from outlive.shared.errors import LogUnavailable, SettingsError
from outlive.shared.settings import Settings
from outlive.shared.store.connect import translated
from outlive.shared.store.plane import open_log_plane
from outlive.shared.upstream_keys import key_of
from outlive.shared.upstreams import Upstream

_PINGS: Final = 20
_REDIS_S: Final = 10.0
_UPSTREAM_S: Final = 10.0


async def at_planes(settings: Settings) -> list[Finding]:
    """The queue's server, and where they are apart all that have logs."""
    if settings.log_url is None:
        return await _at_plane("OUTLIVE_REDIS_URL", settings.redis_url)
    return [
        *await _at_plane("OUTLIVE_REDIS_URL", settings.redis_url),
        *await _at_plane("OUTLIVE_LOG_URL", settings.log_url),
    ]


async def _at_plane(setting: str, url: str) -> list[Finding]:
    """Each of its servers. Never repeats the URL: it may hold a password."""
    async with aclosing(open_log_plane(url)) as plane:
        try:
            async with asyncio.timeout(_REDIS_S):
                servers = await plane.servers()
                found = [await _at_server(server) for server in servers]
        except (LogUnavailable, TimeoutError) as error:
            refused = any(isinstance(cause, AuthenticationError) for cause in _causes(error))
            says = "It refuses us." if refused else "It does not answer."
            do = f"Check user and password in {setting}." if refused else f"Check {setting}."
            return [Finding(Grade.WRONG, "redis", says, do)]
    if len(servers) == 1:
        return found[0]
    # Of many, which one is meant.
    return [
        replace(finding, about=f"{finding.about} {_name(server)}")
        for server, theirs in zip(servers, found, strict=True)
        for finding in theirs
    ]


async def _at_server(redis: Redis) -> list[Finding]:
    """Version, persistence, eviction, latency and clock."""
    with translated():
        return [*await _server(redis), await _latency(redis), await _clock(redis)]


def _name(redis: Redis) -> str:
    where = redis.connection_pool.connection_kwargs
    return f"{where['host']}:{where['port']}"


async def at_upstreams(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Each of them, all at once."""
    found = await asyncio.gather(*(_at_upstream(*each, environ) for each in settings.providers.items()))
    if not settings.upstreams:
        return found
    # Of those that have names, which one is meant.
    return [replace(each, about=f"{each.about} {name}") for name, each in zip(settings.upstreams, found, strict=True)]


async def _at_upstream(name: str, upstream: Upstream, environ: Mapping[str, str]) -> Finding:
    """One `GET /models`: it costs nothing, and most providers answer it to a valid key only."""
    try:
        key = key_of(name, upstream, environ)
    except SettingsError as error:
        return Finding(Grade.WRONG, "provider", error.message, "Workers will not start before that.")
    if key is None and upstream.base_url is None:
        return Finding(
            Grade.WRONG, "provider", "There is no key.", "Set OPENAI_API_KEY: OpenAI answers nobody without."
        )
    async with AsyncOpenAI(
        api_key="none" if key is None else key.get_secret_value(),
        base_url=upstream.base_url,
        max_retries=0,
        timeout=_UPSTREAM_S,
    ) as client:
        try:
            page = await client.models.list()
        except APIStatusError as error:
            return findings.of_upstream(error.status_code, "", 0)
        except APIConnectionError as error:
            return findings.of_upstream(None, str(error.__cause__ or error).rstrip("."), 0)
        except (OpenAIError, ValueError) as error:
            return findings.of_upstream(None, f"its answer is none of an OpenAI server ({type(error).__name__})", 0)
    return findings.of_upstream(200, "", len(page.data or ()))


def at_machine() -> Finding:
    """What limits this process's children too."""
    return findings.of_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


async def _server(redis: Redis) -> list[Finding]:
    try:
        return findings.of_server(await redis.info())
    except NoPermissionError:
        return [
            Finding(
                Grade.WARNING,
                "redis",
                "It does not let us ask INFO: version, persistence and eviction are not known.",
                "Look in the provider's console: 7.0 or newer, append-only file, noeviction.",
            )
        ]


async def _latency(redis: Redis) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        await redis.ping()
        times.append(time.perf_counter() - began)
    return findings.of_latency(statistics.median(times))


async def _clock(redis: Redis) -> Finding:
    before = time.time()
    seconds, microseconds = await redis.time()
    middle = (before + time.time()) / 2
    return findings.of_clock(middle - (seconds + microseconds / 1e6))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all behind it: redis-py wraps a wrong password into an error of connecting."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
