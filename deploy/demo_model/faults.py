"""Owns the faults of streams that a request asks for: `fault=NAME` in the model's name.

Knows HTTP and the socket below it, not the contents of answers. `replace_stream` sends something else than
a stream, `Breaker.cause` breaks a stream that has begun. What comes after the fault is not played.
"""

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NoReturn

from outlive.deploy.demo_model.quirks.chunk_rewrites import DONE

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STATUSES: Final = (
    "400", "401", "402", "403", "404", "408", "409", "413", "422", "429", "500", "503", "529",
)  # fmt: skip
INSTEAD: Final = (*STATUSES, "endless_500", "html", "json_error", "whole", "gzip")
"""Sent instead of a stream."""
WITHIN: Final = (
    "stall", "comments", "reset", "half_close", "bad_framing", "cut", "half_line", "error", "bad_json", "bad_utf8",
    "not_a_chunk", "empty_choices", "endless_line", "large_event",
    "plain_text_error", "bare_error", "spark_error", "event_error", "choice_error",
)  # fmt: skip
"""After `after` deltas."""
AT_THE_END: Final = ("no_done", "silent_end")
"""When the finish reason has been sent."""

_COMMENT_S: Final = 0.05
_LARGE_BYTES: Final = 2 * 1024 * 1024
_BOMB_BYTES: Final = 64 * 1024 * 1024
_FILL: Final = b"x" * 16_384
_MESSAGES: Final = {"429": "Rate limit reached for requests."}
_HTML: Final = b"<html><body><h1>Welcome to our network</h1></body></html>"
_WHOLE: Final = (
    b'{"choices":[{"index":0,"message":{"role":"assistant","content":"All at once."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}'
)


class Over(Exception):
    """The fault was caused, and nothing may follow."""


def message_of(fault: str) -> str:
    """The message of the error whose status is this fault."""
    return _MESSAGES.get(fault, "The demo model was asked to fail.")


def status_of(fault: str) -> int:
    """The status of a response that is not a stream."""
    return int(fault[-3:]) if fault.endswith(STATUSES) else 200


async def replace_stream(fault: str, send: Send, error: bytes, headers: list[tuple[bytes, bytes]]) -> NoReturn:
    """Send a response that is not a stream; `error` is its body, with its `headers`, where the fault is an error.
    Raises `Over` after it."""
    content = error
    match fault:
        case "html":
            content, headers = _HTML, [(b"content-type", b"text/html")]
        case "whole":
            content, headers = _WHOLE, [(b"content-type", b"application/json")]
        case "gzip":
            headers = [(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")]
            content = await asyncio.to_thread(gzip.compress, bytes(_BOMB_BYTES), 1)
    await send({"type": "http.response.start", "status": status_of(fault), "headers": headers})
    while fault.startswith("endless_"):
        await _send(send, _FILL + b"\n\n")
    await _send(send, content, more=False)
    raise Over


class Breaker:
    """Breaks one stream in the way its request asks for."""

    def __init__(self, send: Send, transport: asyncio.Transport, code: str | None) -> None:
        """`code`: of the errors that are told in the stream."""
        self._send = send
        self._transport = transport
        self._code = None if code is None else int(code) if code.isdecimal() else code

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
                last = _LAST_BYTES[fault] if fault in _LAST_BYTES else _stream_error(fault, self._code)
                await _send(self._send, last, more=False)
                raise Over

    async def _break_http(self, fault: str) -> NoReturn:
        """Faults that ASGI cannot express, written to the socket itself."""
        if fault == "bad_framing":
            self._transport.write(b"a kilobyte\r\ndata: {}\n\n\r\n")
        else:
            # Announce a chunk of 1 kB, and send a part of it.
            self._transport.write(b'400\r\ndata: {"choices":[{"index":0,"del')
        if fault == "reset":
            reset(self._transport)
        if fault == "half_close":
            self._transport.write_eof()
        await _for_ever()


_LAST_BYTES: Final = {
    "cut": b"",
    "no_done": b"",
    "half_line": b'data: {"choices":[{"index":0,"del',
    "bad_json": b'data: {"choices":[}\n\ndata: [DONE]\n\n',
    "bad_utf8": b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\ndata: [DONE]\n\n',
    "not_a_chunk": b"data: [1, 2]\n\ndata: [DONE]\n\n",
}


def reset(transport: asyncio.Transport) -> None:
    """Close the connection as a machine does that has lost it."""
    # With a linger time of 0 the kernel sends RST instead of FIN.
    raw_socket = transport.get_extra_info("socket")
    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _stream_error(fault: str, code: str | int | None) -> bytes:
    """An error in a stream that began with 200, in the ways in which servers tell one."""
    error = {"message": "The demo model is overloaded.", "type": "server_error"} | ({"code": code} if code else {})
    body = json.dumps({"error": error}).encode()
    match fault:
        case "plain_text_error":
            return b"data: Number of choices must be greater than 0.\n\n"
        case "bare_error":
            return body
        case "spark_error":
            return (
                b"data: "
                + json.dumps({"code": code or 11200, "message": error["message"], "sid": "x"}).encode()
                + b"\n\n"
            )
        case "event_error":
            return b"event: error\ndata: " + body + b"\n\n"
        case "choice_error":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            return b"data: " + json.dumps({"choices": [choice], "error": error}).encode() + b"\n\n" + DONE
        case _:
            return b"data: " + body + b"\n\n" + DONE


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
    # After the client has left, uvicorn's send returns at once. Without this pause an endless body would be
    # sent for ever, and the task that waits for the disconnect would never run.
    await asyncio.sleep(0)


async def _for_ever() -> NoReturn:
    """Until the client leaves, which cancels this."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nothing sets the result of this future")
