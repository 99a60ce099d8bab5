"""Owns the inspections: of Redis, the providers and this machine. Each returns findings, whatever goes wrong."""

import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from outlive.deploy.doctor.findings import (
    Finding,
    Grade,
    key_source,
    of_clock,
    of_files,
    of_latency,
    of_redis_failure,
    of_redis_refusal,
    of_server,
    of_upstream,
    of_url_option,
)
from outlive.shared.errors import LogUnavailable, SettingsError
from outlive.shared.settings import Settings
from outlive.shared.store.connect import translated
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import open_log_plane
from outlive.shared.store.requirements import channel_fault
from outlive.worker.tools.tool_modules import load_tools
from outlive.worker.upstream.model_list import list_models
from outlive.worker.upstream.upstream_clients import connect_one
from outlive.worker.worker_process import find_modules_here

_PINGS: Final = 20
_REDIS_S: Final = 10.0
_UPSTREAM_S: Final = 10.0


async def inspect_planes(settings: Settings) -> list[Finding]:
    """The server of the queue and, if OUTLIVE_LOG_URL names others, all servers that hold logs."""
    channel = Keys(settings.key_prefix).probe("doctor")
    if settings.log_url is None:
        return await _inspect_plane("OUTLIVE_REDIS_URL", settings.redis_url, channel)
    return [
        *await _inspect_plane("OUTLIVE_REDIS_URL", settings.redis_url, None),
        *await _inspect_plane("OUTLIVE_LOG_URL", settings.log_url, channel),
    ]


async def _inspect_plane(setting: str, url: str, channel: str | None) -> list[Finding]:
    """Each server of one plane; of the log plane, whether it serves this channel, too. What was seen before a failure
    is kept. Never repeats the URL: it may hold a password."""
    findings: list[Finding] = []
    async with aclosing(open_log_plane(url)) as plane:
        try:
            async with asyncio.timeout(_REDIS_S):
                servers = await plane.servers()
                for server in servers:
                    # With several servers a finding must name its own.
                    name = f" {_name(server)}" if len(servers) > 1 else ""
                    async for finding in _inspect_server(server, channel):
                        findings.append(replace(finding, about=finding.about + name))
        except (LogUnavailable, TimeoutError) as error:
            findings.append(of_redis_failure(setting, list(_causes(error))))
        except ResponseError as error:
            findings.append(of_redis_refusal(setting, str(error)))
        except (TypeError, ValueError) as error:
            # redis-py hands what stands in the URL's query to its connections.
            findings.append(of_url_option(setting, str(error)))
    return findings


async def _inspect_server(redis: Redis, channel: str | None) -> AsyncIterator[Finding]:
    """Version, persistence, eviction, channels, latency and clock."""
    with translated():
        for finding in await _server(redis):
            yield finding
        yield await _latency(redis)
        yield await _clock(redis)
        if channel is not None and (fault := await channel_fault(redis, channel, subscribe=True)):
            yield Finding(Grade.WRONG, "redis", fault, "API and workers do not start before that.")


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


def inspect_processes(settings: Settings, *, worker: bool) -> list[Finding]:
    """What API and workers refuse when they start, beyond what every command refuses."""
    findings = []
    if settings.auth and settings.signing_keys is None:
        findings.append(
            Finding(
                Grade.WARNING,
                "authentication",
                "OUTLIVE_AUTH is true, but OUTLIVE_SIGNING_KEYS is not set, so no API starts here.",
                "Set it where an API runs; `outlive keys signing-key` prints a key.",
            )
        )
    if worker:
        try:
            find_modules_here()
            load_tools(settings.tools)
        except SettingsError as error:
            findings.append(Finding(Grade.WRONG, "tools", error.message, "Workers do not start before that."))
    return findings


def inspect_machine() -> Finding:
    """The limits of this process, which the processes it starts inherit."""
    return of_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


async def _server(redis: Redis) -> list[Finding]:
    try:
        return of_server(await redis.info())
    except ResponseError as error:
        # A command that was renamed away is not known; without its right it is not permitted.
        if not isinstance(error, NoPermissionError) and "unknown command" not in str(error).lower():
            raise
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
