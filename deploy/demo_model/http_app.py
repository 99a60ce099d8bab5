"""Owns HTTP: the routes, and the responses that refuse a request.

Plain ASGI: with hundreds of streams every layer between a delta and the socket costs time. Knows neither
the contents of answers nor their shape on the wire.
"""

import asyncio
import email.utils
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

from outlive.deploy.demo_model import faults, openai_shapes
from outlive.deploy.demo_model.chat_request import Request
from outlive.deploy.demo_model.control import Gates, Ledger, RequestRecord
from outlive.deploy.demo_model.faults import Breaker, Send
from outlive.deploy.demo_model.model_options import Refused, Wish
from outlive.deploy.demo_model.player import Gathered, Sink, Streamed, play
from outlive.deploy.demo_model.quirks import frames
from outlive.deploy.demo_model.quirks.failure_bodies import Failure, error_body
from outlive.deploy.demo_model.quirks.refusals import Refusal, refusal_of
from outlive.deploy.demo_model.quirks.rewrite import rewrite
from outlive.deploy.demo_model.raw_connection import SOCKET
from outlive.deploy.demo_model.script import Step, write

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Scope = MutableMapping[str, Any]

log = logging.getLogger("demo_model")

_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_JSON: Final = [(b"content-type", b"application/json")]
_EVENTS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_MOVED: Final = "/v1/moved/chat/completions"


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
                await self._complete(scope, receive, send)
            case "POST", ["v1", "moved", "chat", "completions"]:
                await self._complete(scope, receive, send)
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

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        request = Request.parse(body)
        if "redirect" in request.wish.quirks and scope["path"] != _MOVED:
            await _respond(send, b"", 308, [(b"location", _MOVED.encode())])
            return
        connection = scope["extensions"][SOCKET]
        if "dies_on_reuse" in request.wish.quirks and connection["is_reused"]:
            faults.reset(connection["transport"])
            return
        if request.wish.times is not None and self._ledger.times(request.model) >= request.wish.times:
            request = request.without_fault()
        record = self._ledger.open(request)
        headers = dict(scope["headers"])
        refusal = refusal_of(request.wish.quirks, headers, body)
        if refusal is None:
            breaker = Breaker(send, connection["transport"], request.wish.code)
            response = self._answer(request, headers, record, send, breaker)
        else:
            response = _refuse(send, refusal)
        try:
            async with asyncio.TaskGroup() as tasks:
                playing = tasks.create_task(_play(response, record))
                # Receives while the stream is played, because a silent stream would notice that the client
                # left only at its next write. Also returns after a whole response.
                while (await receive())["type"] != "http.disconnect":
                    pass
                record.close("client_closed")
                playing.cancel()
        finally:
            record.close("failed")

    async def _answer(
        self, request: Request, headers: Mapping[bytes, bytes], record: RequestRecord, send: Send, breaker: Breaker
    ) -> None:
        if request.wish.fault in faults.INSTEAD:
            await _fail(request.wish.fault, request.wish, headers, send)
        wish = request.wish
        completion_id = f"chatcmpl-{record.n:024x}"
        script: Iterator[Step | bytes] = write(request)
        sink: Sink
        if request.stream:
            chunks = openai_shapes.Chunks(completion_id, request.model, include_usage=request.include_usage)
            sink = Streamed(chunks, send, record, breaker, wish.fault)
            if wish.is_rewritten:
                script = rewrite(write(request), request, completion_id)
            await asyncio.sleep(wish.head_s)
            head = frames.headers(wish.quirks, _EVENTS)
            await send({"type": "http.response.start", "status": 200, "headers": head})
        else:
            whole = openai_shapes.Whole(completion_id, request.model, with_usage=wish.usage == 1)
            sink = Gathered(whole, lambda body: _respond(send, body), record)
        await play(script, sink, self._gates, record)


async def _play(response: Awaitable[None], record: RequestRecord) -> None:
    with suppress(faults.Over):
        await response
    record.close("finished")


async def _refuse(send: Send, refusal: Refusal) -> None:
    """Refuse the request as a server with this quirk does."""
    refused = Refused(refusal.status, refusal.message)
    await _respond(send, openai_shapes.error(refused), refused.status)


async def _fail(fault: str, wish: Wish, headers: Mapping[bytes, bytes], send: Send) -> None:
    """Send a fault that replaces the stream. Raises `faults.Over`."""
    key = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
    failure = Failure(faults.message_of(fault), faults.status_of(fault), key)
    body, about_body = error_body(wish.quirks, failure)
    await faults.replace_stream(fault, send, body, [*about_body, *_retry_headers(wish)])


def _retry_headers(wish: Wish) -> Iterator[tuple[bytes, bytes]]:
    """Whether and when to ask again."""
    if wish.retry_after_s is not None:
        yield b"retry-after", f"{wish.retry_after_s:g}".encode()
    if wish.retry_after_date_s is not None:
        yield b"retry-after", email.utils.formatdate(time.time() + wish.retry_after_date_s, usegmt=True).encode()
    if wish.retry_after_ms is not None:
        yield b"retry-after-ms", str(wish.retry_after_ms).encode()
    if wish.should_retry is not None:
        yield b"x-should-retry", b"true" if wish.should_retry else b"false"


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


async def _respond(send: Send, body: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    head = [*_JSON, (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
