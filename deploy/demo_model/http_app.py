"""Owns HTTP: the routes, and the responses that refuse a request.

Plain ASGI: with hundreds of streams every layer between a delta and the socket costs time. Knows neither
the contents of answers nor their shape on the wire.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

from outlive.deploy.demo_model import faults, openai_shapes
from outlive.deploy.demo_model.control import Gates, Ledger, RequestRecord
from outlive.deploy.demo_model.faults import Breaker, Send
from outlive.deploy.demo_model.model_options import Refused, Request
from outlive.deploy.demo_model.player import Gathered, Sink, Streamed, play
from outlive.deploy.demo_model.raw_connection import SOCKET
from outlive.deploy.demo_model.script import write

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Scope = MutableMapping[str, Any]

log = logging.getLogger("demo_model")

_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_JSON: Final = [(b"content-type", b"application/json")]
_EVENTS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class App:
    """The demo model as an ASGI application."""

    def __init__(self, key: str | None = None) -> None:
        """`key`: the only API key that is accepted; without it every key is."""
        self._authorization = None if key is None else f"Bearer {key}".encode()
        self._gates = Gates()
        self._ledger = Ledger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._route(scope, receive, send)
        except Refused as refused:
            await _respond(send, openai_shapes.error(refused), refused.status)
        except Exception:
            # Then uvicorn sends 500, or closes the socket if the response has begun.
            log.exception("%s %s failed", scope["method"], scope["path"])

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path.startswith("/v1/") and self._authorization not in (None, dict(scope["headers"]).get(b"authorization")):
            raise Refused(401, "Incorrect API key provided.", code="invalid_api_key")
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "chat", "completions"]:
                await self._complete(receive, send, Breaker(send, scope["extensions"][SOCKET]["transport"]))
            case "GET", ["v1", "models"]:
                await _respond(send, openai_shapes.models())
            case "GET", ["healthz"]:
                await _respond(send, openai_shapes.encode({"status": "ok"}))
            case "GET", ["control", "requests"]:
                await _respond(send, openai_shapes.encode(self._ledger.as_json()))
            case "POST", ["control", "gates", name, "open"]:
                self._gates.open(name)
                await _respond(send, openai_shapes.encode({"gate": name, "open": True}))
            case _:
                raise Refused(404, f"Invalid URL ({method} {path})", code="unknown_url")

    async def _complete(self, receive: Receive, send: Send, breaker: Breaker) -> None:
        request = Request.parse(await _body(receive))
        if request.wish.times is not None and self._ledger.times(request.model) >= request.wish.times:
            request = request.without_fault()
        record = self._ledger.open(request)
        try:
            async with asyncio.TaskGroup() as tasks:
                playing = tasks.create_task(self._play(request, record, send, breaker))
                # Receives while the stream is played, because a silent stream would notice that the client
                # left only at its next write. Also returns after a whole response.
                while (await receive())["type"] != "http.disconnect":
                    pass
                record.close("client_closed")
                playing.cancel()
        finally:
            record.close("failed")

    async def _play(self, request: Request, record: RequestRecord, send: Send, breaker: Breaker) -> None:
        with suppress(faults.Over):
            await self._try_to_play(request, record, send, breaker)
        record.close("finished")

    async def _try_to_play(self, request: Request, record: RequestRecord, send: Send, breaker: Breaker) -> None:
        wish = request.wish
        if wish.fault in faults.INSTEAD:
            await faults.replace_stream(
                wish.fault, send, retry_after_s=wish.retry_after_s, retry_after_date_s=wish.retry_after_date_s
            )
        completion_id = f"chatcmpl-{record.n:024x}"
        sink: Sink
        if request.stream:
            chunks = openai_shapes.Chunks(completion_id, request.model, include_usage=request.include_usage)
            sink = Streamed(chunks, send, record, breaker, wish.fault)
            await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        else:
            whole = openai_shapes.Whole(completion_id, request.model, with_usage=wish.usage == 1)
            sink = Gathered(whole, lambda body: _respond(send, body), record)
        await play(write(request), sink, self._gates, record)


async def _body(receive: Receive) -> Any:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The client left before its request was complete.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MAX_BODY_BYTES:
            raise Refused(413, f"The body is larger than {_MAX_BODY_BYTES} bytes.")
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None


async def _respond(send: Send, body: bytes, status: int = 200) -> None:
    headers = [*_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
