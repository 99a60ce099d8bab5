"""Owns the inspections: of Redis, the providers and this machine. Each returns findings, whatever goes wrong."""

import asyncio
import resource
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from outlive.deploy.doctor.findings import (
    Finding,
    Grade,
    key_source,
    of_clock,
    of_files,
    of_latency,
    of_server,
    of_upstream,
)
from outlive.shared.errors import LogUnavailable, SettingsError
from outlive.shared.settings import Settings
from outlive.shared.store.connect import translated
from outlive.shared.store.plane import open_log_plane
from outlive.worker.upstream.model_list import list_models
from outlive.worker.upstream.upstream_clients import connect_one

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
    findings = await asyncio.gather(*(_inspect_upstream(name, settings, environ) for name in settings.providers))
    if not settings.upstreams:
        return findings
    # Upstreams that have names are told apart by them.
    return [
        replace(each, about=f"{each.about} {name}") for name, each in zip(settings.upstreams, findings, strict=True)
    ]


async def _inspect_upstream(name: str, settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Built as a worker builds it, and asked for its models the way a worker asks for answers."""
    upstream = settings.providers[name]
    if upstream.base_url is None and not (upstream.key_env or upstream.key_file or upstream.headers):
        return Finding(
            Grade.WRONG, "provider", "There is no key.", "Set OPENAI_API_KEY: OpenAI refuses requests without one."
        )
    try:
        client = connect_one(name, settings, environ)
    except SettingsError as error:
        return Finding(Grade.WRONG, "provider", error.message, "Workers do not start before that.")
    async with aclosing(client):
        listed = await list_models(client, within_s=upstream.connect_s + _UPSTREAM_S)
    return of_upstream(listed, key_source(upstream))


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
