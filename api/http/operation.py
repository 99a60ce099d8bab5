"""Owns the routes for operators: health, readiness, metrics."""

import asyncio
from typing import Final

from fastapi import APIRouter, Response

from outlive.api.http import openapi
from outlive.api.http.json_bodies import Json
from outlive.api.http.problems import unavailable
from outlive.api.schemas import Health
from outlive.api.services import HubDep, MetricsDep, PlanesDep, QueueDep
from outlive.shared.errors import LogUnavailable
from outlive.shared.telemetry.metrics import CONTENT_TYPE

router = APIRouter()

_REDIS_S: Final = 1.0
"""How long a probe waits for Redis; probes commonly give up after a second or two."""


@router.get("/healthz", tags=["operation"], responses=openapi.HEALTH)
async def healthz() -> Response:
    """Whether this process is alive."""
    return Json(Health(status="ok"))


@router.get("/readyz", tags=["operation"], responses=openapi.READY)
async def readyz(hub: HubDep, planes: PlanesDep) -> Response:
    """Whether to send viewers to this process."""
    if hub.draining:
        return unavailable("draining", "This process is shutting down; use another one.")
    try:
        async with asyncio.timeout(_REDIS_S):
            await planes.ping()
    except (LogUnavailable, TimeoutError):
        return unavailable(LogUnavailable.code, f"Redis did not answer within {_REDIS_S:g} s.")
    return Json(Health(status="ok"))


@router.get("/metrics", include_in_schema=False)
async def metrics(api_metrics: MetricsDep, queue: QueueDep) -> Response:
    """The metrics of all processes on this port, in Prometheus' format."""
    try:
        async with asyncio.timeout(_REDIS_S):
            api_metrics.backlog(*await queue.backlog())
    except (LogUnavailable, TimeoutError):
        api_metrics.backlog()
    # In a thread, because it may read the files of many processes.
    return Response(await asyncio.to_thread(api_metrics.exposition), media_type=CONTENT_TYPE)
