"""Owns the limit on request bodies, as ASGI middleware.

It counts received bytes and does not wrap `send`, so a stream of events pays nothing for it. It raises from
`receive`, inside the route that reads the body, where exception handlers work.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlive.shared.errors import PayloadTooLarge


class BodyLimit:
    """Refuses bodies above `max_bytes`, with or without a Content-Length."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            receive = self._counted(receive, _announced(scope))
        await self._app(scope, receive, send)

    def _counted(self, receive: Receive, announced: int) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            # Before the first `receive`, which would send `100 Continue`: a client that waits for it sends nothing.
            if announced > self._max_bytes:
                raise self._too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The request body is larger than {self._max_bytes} bytes. Send a shorter one.")


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
