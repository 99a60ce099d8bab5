"""Owns the inspections: of Redis, the providers and this machine. Each returns findings, whatever goes wrong."""

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

from outlive.deploy.doctor.findings import Finding, Grade, of_clock, of_files, of_latency, of_server, of_upstream
from outlive.shared.errors import LogUnavailable, SettingsError
from outlive.shared.settings import Settings
from outlive.shared.store.connect import translated
from outlive.shared.store.plane import open_log_plane
from outlive.shared.stored_values import StoredValue
from outlive.shared.upstream_keys import key_of
from outlive.shared.upstreams import Upstream

_PINGS: Final = 20
_REDIS_S: Final = 10.0
_UPSTREAM_S: Final = 10.0


async def inspect_planes(settings: Settings) -> list[Finding]:
    """The server of the queue and, if OUTLIVE_LOG_URL names others, all servers that hold logs."""
    if settings.log_url is None:
        return await _inspect_plane("OUTLIVE_REDIS_URL", settings.redis_url)
    return [
        *await _inspect_plane("OUTLIVE_REDIS_URL", settings.redis_url),
        *await _inspect_plane("OUTLIVE_LOG_URL", settings.log_url),
    ]


async def _inspect_plane(setting: str, url: str) -> list[Finding]:
    """Each server of one plane. Never repeats the URL: it may hold a password."""
    async with aclosing(open_log_plane(url)) as plane:
        try:
            async with asyncio.timeout(_REDIS_S):
                servers = await plane.servers()
                findings = [await _inspect_server(server) for server in servers]
        except (LogUnavailable, TimeoutError) as error:
            refused = any(isinstance(cause, AuthenticationError) for cause in _causes(error))
            state = "It refuses the user or the password." if refused else "It does not answer."
            remedy = f"Check user and password in {setting}." if refused else f"Start it, or correct {setting}."
            return [Finding(Grade.WRONG, "redis", state, remedy)]
    if len(servers) == 1:
        return findings[0]
    # With several servers a finding must name its own.
    return [
        replace(finding, about=f"{finding.about} {_name(server)}")
        for server, theirs in zip(servers, findings, strict=True)
        for finding in theirs
    ]


async def _inspect_server(redis: Redis) -> list[Finding]:
    """Version, persistence, eviction, latency and clock."""
    with translated():
        return [*await _server(redis), await _latency(redis), await _clock(redis)]


def _name(redis: Redis) -> str:
    address = redis.connection_pool.connection_kwargs
    return f"{address['host']}:{address['port']}"


async def inspect_upstreams(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Every upstream, all at the same time."""
    findings = await asyncio.gather(*(_inspect_upstream(*each, environ) for each in settings.providers.items()))
    if not settings.upstreams:
        return findings
    # Upstreams that have names are told apart by them.
    return [
        replace(each, about=f"{each.about} {name}") for name, each in zip(settings.upstreams, findings, strict=True)
    ]


async def _inspect_upstream(name: str, upstream: Upstream, environ: Mapping[str, str]) -> Finding:
    """One `GET /models`: it costs nothing, and most providers answer it only to a valid key."""
    try:
        key = key_of(name, upstream, environ)()
        headers = {name: StoredValue(value, environ).current() for name, value in upstream.headers.items()}
        query = {name: StoredValue(value, environ).current() for name, value in upstream.query.items()}
    except SettingsError as error:
        return Finding(Grade.WRONG, "provider", error.message, "Workers do not start before that.")
    if key is None and upstream.base_url is None and not headers:
        return Finding(
            Grade.WRONG, "provider", "There is no key.", "Set OPENAI_API_KEY: OpenAI refuses requests without one."
        )
    async with AsyncOpenAI(
        api_key=key or "none",
        base_url=upstream.base_url,
        max_retries=0,
        timeout=_UPSTREAM_S,
        default_headers=headers,
        default_query=query,
    ) as client:
        try:
            page = await client.models.list()
        except APIStatusError as error:
            return of_upstream(error.status_code, "", 0)
        except APIConnectionError as error:
            return of_upstream(None, str(error.__cause__ or error).rstrip("."), 0)
        except (OpenAIError, ValueError) as error:
            return of_upstream(
                None, f"its response is not that of an OpenAI-compatible server ({type(error).__name__})", 0
            )
    return of_upstream(200, "", len(page.data or ()))


def inspect_machine() -> Finding:
    """The limits of this process, which the processes it starts inherit."""
    return of_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


async def _server(redis: Redis) -> list[Finding]:
    try:
        return of_server(await redis.info())
    except NoPermissionError:
        return [
            Finding(
                Grade.WARNING,
                "redis",
                "It forbids INFO, so version, persistence and eviction are not known.",
                "Check in the console of its host: 7.0 or newer, append-only file, noeviction.",
            )
        ]


async def _latency(redis: Redis) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        await redis.ping()
        times.append(time.perf_counter() - began)
    return of_latency(statistics.median(times))


async def _clock(redis: Redis) -> Finding:
    before = time.time()
    seconds, microseconds = await redis.time()
    middle = (before + time.time()) / 2
    return of_clock(middle - (seconds + microseconds / 1e6))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all its causes: redis-py wraps the error of a wrong password into a connection error."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
