"""Owns the access to the socket below HTTP, for faults that ASGI cannot express."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SOCKET = "demo_model.socket"


class LentSocket(HttpToolsProtocol):
    """uvicorn's protocol, which gives the application its transport as an ASGI extension."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {SOCKET: {"transport": self.transport}}
