"""Owns a provider that scripts exactly the bytes it was told to say, lawful or not.

The demo model scripts what models say, and breaks off in the ways that networks do; this one is for
what only an attacker would send. Which bytes is told by the name of the model that is request for.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from tests.support.scripted_server import ReceivedRequest, ScriptedServer

Script = bytes | Callable[[], AsyncIterator[bytes]]
"""A whole HTTP answer; or its pieces, without end if need be."""

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
DONE: Final = b"data: [DONE]\n\n"


class ScriptedProvider(ScriptedServer):
    """One such. Put what it scripts into `scripts`, by the model's name."""

    def __init__(self) -> None:
        super().__init__(self._respond)
        self.scripts: dict[str, Script] = {}
        self.times: Counter[str] = Counter()
        """How often it was request for each."""

    def model_that_says(self, script: Script) -> str:
        """The name of a model that scripts this."""
        model = f"model-{len(self.scripts)}"
        self.scripts[model] = script
        return model

    @property
    def environ(self) -> dict[str, str]:
        """For a `Stack` that shall ask this one."""
        return {"OPENAI_BASE_URL": f"http://127.0.0.1:{self.port}/v1"}

    async def _respond(self, request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        model = json.loads(request.body)["model"]
        self.times[model] += 1
        script = self.scripts[model]
        if isinstance(script, bytes):
            writer.write(script)
            await writer.drain()
            return
        async for piece in script():
            writer.write(piece)
            await writer.drain()


def stream(*events: bytes | dict[str, Any]) -> bytes:
    """An answer of these events: JSON as bytes, or as a chunk of the one choice there is."""
    datas = [event if isinstance(event, bytes) else chunk(**event) for event in events]
    return HEAD + b"\r\n" + b"".join(b"data: %b\n\n" % data for data in datas) + DONE


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    """One chunk, its JSON on one line."""
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


def refused(status: int, message: str) -> bytes:
    """An error in OpenAI's words."""
    body = json.dumps({"error": {"message": message, "type": "x", "code": None}}).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
