"""Owns the access to the socket below HTTP, for faults that ASGI cannot express."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SOCKET = "demo_model.socket"


class LentSocket(HttpToolsProtocol):
    """uvicorn's protocol, which gives the application its transport as an ASGI extension, and says whether an
    earlier request came over it."""

    _requests = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests += 1
        self.scope["extensions"] = {SOCKET: {"transport": self.transport, "is_reused": self._requests > 1}}
