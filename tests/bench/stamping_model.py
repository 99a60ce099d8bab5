"""A provider whose tokens say when they were sent: `python -m tests.bench.stamping_model --host H --port P`.

The model's name says how: `stamped;tokens=20;pace_s=0.5`. Each token is `@<Unix seconds> `, so a viewer on the same
machine knows how late it got it. The demo model cannot do this: its answers are the same every time.
"""

import argparse
import asyncio
import json
import time
from typing import Final

from aiohttp import web

from tests.support.stack import HttpProcess

_BACKLOG: Final = 4096


def stamping_model() -> HttpProcess:
    """The process, not started yet."""
    return HttpProcess("stamping model", ["tests.bench.stamping_model"], "/healthz", {})


def stamped(*, tokens: int, pace_s: float) -> str:
    """The model's name for an answer of so many tokens."""
    return f"stamped;tokens={tokens};pace_s={pace_s}"


async def _answer(request: web.Request) -> web.StreamResponse:
    options = dict(part.split("=") for part in json.loads(await request.read())["model"].split(";")[1:])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(int(options["tokens"])):
        await response.write(_chunk({"content": f"@{time.time():.4f} "}))
        due += float(options["pace_s"])
        await asyncio.sleep(due - loop.time())
    await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
    return response


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


async def _health(_: web.Request) -> web.Response:
    return web.Response()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    address = parser.parse_args()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _answer)
    app.router.add_get("/healthz", _health)
    web.run_app(app, host=address.host, port=address.port, backlog=_BACKLOG, access_log=None, print=None)
