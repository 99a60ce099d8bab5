"""Owns the faults of streams that a request asks for: `fault=NAME` in the model's name.

Knows HTTP and the socket below it, not the contents of answers. `replace_stream` sends something else than
a stream, `Breaker.cause` breaks a stream that has begun. What comes after the fault is not played.
"""

import asyncio
import email.utils
import gzip
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NoReturn

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STATUSES: Final = ("400", "401", "404", "408", "409", "429", "500", "503")
INSTEAD: Final = (*STATUSES, "endless_500", "html", "json_error", "whole", "gzip")
"""Sent instead of a stream."""
WITHIN: Final = (
    "stall", "comments", "reset", "half_close", "bad_framing", "cut", "half_line", "error", "bad_json", "bad_utf8",
    "not_a_chunk", "empty_choices", "endless_line", "large_event",
)  # fmt: skip
"""After `after` deltas."""
AT_THE_END: Final = ("no_done", "silent_end")
"""When the finish reason has been sent."""

_COMMENT_S: Final = 0.05
_LARGE_BYTES: Final = 2 * 1024 * 1024
_BOMB_BYTES: Final = 64 * 1024 * 1024
_FILL: Final = b"x" * 16_384
_MESSAGES: Final = {
    # Some providers repeat the key they refuse, so a message like this must not reach viewers.
    "401": "Incorrect API key provided: sk-proj-demo1234********wxyz. You can find your API key in your account.",
    "429": "Rate limit reached for requests.",
}


class Over(Exception):
    """The fault was caused, and nothing may follow."""


async def replace_stream(
    fault: str, send: Send, *, retry_after_s: float | None, retry_after_date_s: float | None
) -> NoReturn:
    """Send a response that is not a stream. Raises `Over` after it."""
    headers = [(b"content-type", b"text/html" if fault == "html" else b"application/json")]
    body = json.dumps({"error": {"message": _MESSAGES.get(fault, "The demo model was asked to fail."), "code": None}})
    match fault:
        case "html":
            body = "<html><body><h1>Welcome to our network</h1></body></html>"
        case "whole":
            message = {"role": "assistant", "content": "All at once."}
            usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice], "usage": usage})
    content = body.encode()
    if fault == "gzip":
        headers = [(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")]
        content = await asyncio.to_thread(gzip.compress, bytes(_BOMB_BYTES), 1)
    if retry_after_s is not None:
        headers.append((b"retry-after", f"{retry_after_s:g}".encode()))
    if retry_after_date_s is not None:
        headers.append((b"retry-after", email.utils.formatdate(time.time() + retry_after_date_s, usegmt=True).encode()))
    status = int(fault[-3:]) if fault.endswith(STATUSES) else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while fault.startswith("endless_"):
        await _send(send, _FILL + b"\n\n")
    await _send(send, content, more=False)
    raise Over


class Breaker:
    """Breaks one stream in the way its request asks for."""

    def __init__(self, send: Send, transport: asyncio.Transport) -> None:
        self._send = send
        self._transport = transport

    async def cause(self, fault: str) -> None:
        """Return if the stream can continue, raise `Over` if it has ended, else stay until the client
        leaves."""
        match fault:
            case "empty_choices":
                await _send(self._send, b'data: {"choices":[]}\n\ndata: {"id":"x","choices":null}\n\n')
            case "large_event":
                text = b"x" * _LARGE_BYTES
                await _send(self._send, b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text)
            case "stall" | "silent_end":
                await _for_ever()
            case "comments":
                while True:
                    await _send(self._send, b": still here\n\n")
                    await asyncio.sleep(_COMMENT_S)
            case "endless_line":
                await _send(self._send, b'data: {"choices":[{"index":0,"delta":{"content":"')
                while True:
                    await _send(self._send, _FILL)
            case "reset" | "half_close" | "bad_framing":
                await self._break_http(fault)
            case _:
                await _send(self._send, _LAST_BYTES[fault], more=False)
                raise Over

    async def _break_http(self, fault: str) -> NoReturn:
        """Faults that ASGI cannot express, written to the socket itself."""
        if fault == "bad_framing":
            self._transport.write(b"a kilobyte\r\ndata: {}\n\n\r\n")
        else:
            # Announce a chunk of 1 kB, and send a part of it.
            self._transport.write(b'400\r\ndata: {"choices":[{"index":0,"del')
        if fault == "reset":
            # With a linger time of 0 the kernel sends RST instead of FIN.
            raw_socket = self._transport.get_extra_info("socket")
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        if fault == "half_close":
            self._transport.write_eof()
        await _for_ever()


_LAST_BYTES: Final = {
    "cut": b"",
    "no_done": b"",
    "half_line": b'data: {"choices":[{"index":0,"del',
    "error": b'data: {"error":{"message":"The demo model is overloaded.","type":"server_error"}}\n\ndata: [DONE]\n\n',
    "bad_json": b'data: {"choices":[}\n\ndata: [DONE]\n\n',
    "bad_utf8": b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\ndata: [DONE]\n\n',
    "not_a_chunk": b"data: [1, 2]\n\ndata: [DONE]\n\n",
}


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
    # After the client has left, uvicorn's send returns at once. Without this pause an endless body would be
    # sent for ever, and the task that waits for the disconnect would never run.
    await asyncio.sleep(0)


async def _for_ever() -> NoReturn:
    """Until the client leaves, which cancels this."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nothing sets the result of this future")
