"""Owns the limits on request bodies, as ASGI middleware: of one body, and of all bodies that a process holds.

It counts received bytes and does not wrap `send`, so a stream of events pays nothing for it. It raises from
`receive`, inside the route that reads the body, where exception handlers work.
"""

from typing import Final, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlive.shared.errors import BodiesFull, PayloadTooLarge

_HELD: Final = "outlive.held_body"
"""The member of an ASGI scope that has its request's `_HeldBody`."""
_RETRY_S: Final = 2
"""A body is held while its generation is created, which takes less than a second."""


class BodiesInFlight:
    """How many bytes of bodies one process holds. One per process."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes more may be held."""
        return self.held_bytes + size_bytes <= self.max_bytes


class BodyLimit:
    """Refuses bodies above `max_bytes`, with or without a Content-Length, and any body while too much is held."""

    def __init__(self, app: ASGIApp, max_bytes: int, in_flight: BodiesInFlight) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = _HeldBody(receive, _announced_bytes(scope), self._max_bytes, self._in_flight)
        scope[_HELD] = body
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.release()


def release_body(scope: Scope) -> None:
    """This request holds nothing of its body any more, although it goes on."""
    cast(_HeldBody, scope[_HELD]).release()


class _HeldBody:
    """The body of one request."""

    def __init__(self, receive: Receive, announced_bytes: int, max_bytes: int, in_flight: BodiesInFlight) -> None:
        self._receive = receive
        self._announced_bytes = announced_bytes
        self._max_bytes = max_bytes
        self._in_flight = in_flight
        self._has_begun = False
        self._held_bytes = 0

    async def receive(self) -> Message:
        """The next part. Raises `PayloadTooLarge` and `BodiesFull`."""
        if not self._has_begun:
            # Before the first `receive`, which would send `100 Continue`: a client that waits for it sends nothing.
            # What is announced is only compared: else clients that announce bodies and send none would shut out others.
            self._check(self._announced_bytes)
            self._has_begun = True
        message = await self._receive()
        if part_bytes := len(message.get("body", b"")):
            self._check(part_bytes)
            self._held_bytes += part_bytes
            self._in_flight.held_bytes += part_bytes
        return message

    def release(self) -> None:
        self._in_flight.held_bytes -= self._held_bytes
        self._held_bytes = 0

    def _check(self, more_bytes: int) -> None:
        if self._held_bytes + more_bytes > self._max_bytes:
            raise PayloadTooLarge(f"The request body is larger than {self._max_bytes} bytes. Send a shorter one.")
        if more_bytes and not self._in_flight.has_room(more_bytes):
            raise BodiesFull(retry_after_s=_RETRY_S)


def _announced_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
