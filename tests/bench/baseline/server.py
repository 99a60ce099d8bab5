"""The usual way to show a Redis Stream to browsers: sse-starlette, and one XREAD per viewer.

As tutorials on the web show it, and not made slower than they are: blocking reads
of up to 100 entries, resumption by Last-Event-ID, pings, uvloop and httptools. Run by
`python -m tests.bench.baseline.server --port 8000`; needs OUTLIVE_REDIS_URL.
"""

import argparse
import os
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from redis.asyncio import Redis
from sse_starlette import EventSourceResponse

app = FastAPI()
redis = Redis.from_url(os.environ["OUTLIVE_REDIS_URL"], decode_responses=True)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/streams/{name}/events")
async def events(name: str, request: Request) -> EventSourceResponse:
    last = request.headers.get("last-event-id") or "0-0"
    return EventSourceResponse(_entries(request, f"stream:{name}", last))


async def _entries(request: Request, key: str, last: str) -> AsyncIterator[dict[str, Any]]:
    while not await request.is_disconnected():
        reply = await redis.xread({key: last}, count=100, block=15_000)
        for _, entries in reply:
            for last, fields in entries:  # noqa: PLR1704 - the cursor moves on with every entry
                yield {"id": last, "event": "token", "data": fields["d"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        app, host=options.host, port=options.port, loop="uvloop", http="httptools", access_log=False, backlog=4096
    )
