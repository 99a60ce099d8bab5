"""Owns a provider that sends exactly the bytes of its script, valid or not.

The demo model sends what models send, and breaks off as networks do. This provider sends what only an attacker
would. The name of the requested model chooses the script.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from tests.support.scripted_server import ReceivedRequest, ScriptedServer

Script = bytes | Callable[[], AsyncIterator[bytes]]
"""A whole HTTP response; or its pieces, which may go on for ever."""

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
DONE: Final = b"data: [DONE]\n\n"


class ScriptedProvider(ScriptedServer):
    """One such provider. `scripts`: model name -> what it sends."""

    def __init__(self) -> None:
        super().__init__(self._respond)
        self.scripts: dict[str, Script] = {}
        self.request_counts: Counter[str] = Counter()
        """Model name -> how often it was requested."""

    def model_that_says(self, script: Script) -> str:
        """Add this script, and return the name of its model."""
        model = f"model-{len(self.scripts)}"
        self.scripts[model] = script
        return model

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a `Stack` that is to use this provider."""
        return {"OPENAI_BASE_URL": f"http://127.0.0.1:{self.port}/v1"}

    async def _respond(self, request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        model = json.loads(request.body)["model"]
        self.request_counts[model] += 1
        script = self.scripts[model]
        if isinstance(script, bytes):
            writer.write(script)
            await writer.drain()
            return
        async for piece in script():
            writer.write(piece)
            await writer.drain()


def stream(*events: bytes | dict[str, Any]) -> bytes:
    """A response with these events: JSON as bytes, or the fields of a chunk of the only choice."""
    datas = [event if isinstance(event, bytes) else chunk(**event) for event in events]
    return HEAD + b"\r\n" + b"".join(b"data: %b\n\n" % data for data in datas) + DONE


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    """One chunk, as one line of JSON."""
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


def error_response(status: int, message: str) -> bytes:
    """An error in the format of OpenAI."""
    body = json.dumps({"error": {"message": message, "type": "x", "code": None}}).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
