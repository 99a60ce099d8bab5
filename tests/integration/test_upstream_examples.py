"""The examples of docs/upstreams.md, as they are printed there, against servers that refuse what those refuse."""

import asyncio
import json
import re
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from outlive.shared.settings import load
from outlive.worker.upstream.upstream_clients import connect_one
from tests.support.scripted_server import ReceivedRequest, ScriptedServer

pytestmark = pytest.mark.anyio

PAGE: Final = Path(__file__).parents[2] / "docs" / "upstreams.md"
KEYS: Final = {
    "AZURE_KEY": "azure-0123456789", "OPENAI_API_KEY": "sk-0123456789", "PORTKEY_API_KEY": "pk-0123456789",
    "CF_AIG_TOKEN": "cf-0123456789", "HELICONE_API_KEY": "hl-0123456789",
}  # fmt: skip
ALWAYS: Final = {
    "host", "connection", "accept", "accept-encoding", "content-type", "content-length", "user-agent"
}  # fmt: skip
FILTERED: Final = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
CHUNK: Final = {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}

NO_PATH: Final = ("404 Not Found", {"error": {"code": "404", "message": "Resource not found"}})
BAD_KEY: Final = ("401 Unauthorized", {"error": {"message": "Incorrect API key provided"}})
COMPLAINTS: Final[dict[str, tuple[str, dict[str, tuple[str, object]]]]] = {
    "azure": (
        "/openai/deployments/DEPLOYMENT/chat/completions",
        {
            "version": NO_PATH,
            "azure": ("401 Unauthorized", {"error": {"code": "401", "message": "Access denied due to invalid key."}}),
            "path": ("404 Not Found", {"error": {"code": "DeploymentNotFound", "message": "There is none."}}),
        },
    ),
    "portkey": (
        "/v1/chat/completions",
        {
            "version": NO_PATH,
            "portkey": ("401 Unauthorized", {"status": "failure", "message": "Invalid API Key."}),
            "provider": ("400 Bad Request", {"status": "failure", "message": "x-portkey-provider is missing."}),
            "openai": BAD_KEY,
            "path": NO_PATH,
        },
    ),
    "cloudflare": (
        "/v1/ACCOUNT/GATEWAY/compat/chat/completions",
        {
            "cloudflare": ("401 Unauthorized", {"errors": [{"code": 2009, "message": "Unauthorized"}]}),
            "openai": BAD_KEY,
            "path": NO_PATH,
        },
    ),
    "helicone": (
        "/v1/chat/completions",
        {"helicone": ("401 Unauthorized", {"error": "No Helicone-Auth."}), "openai": BAD_KEY, "path": NO_PATH},
    ),
}
"""Of each server its path, and what it answers where something is not right, in the order it looks at it."""


def example(name: str) -> dict[str, Any]:
    """The upstream of this name in one of the page's examples."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    examples: list[dict[str, Any]] = [block[name] for block in map(json.loads, blocks) if name in block]
    assert len(examples) == 1, f"docs/upstreams.md has not one example for {name}"
    return examples[0]


def refusal(name: str, request: ReceivedRequest) -> tuple[str, object] | None:
    """What the real server would answer to a request that lacks something."""
    has, url = request.headers.get, urlsplit(request.line.split()[1])
    openai_key = f"Bearer {KEYS['OPENAI_API_KEY']}"
    path, complaints = COMPLAINTS[name]
    right = {
        "version": parse_qs(url.query) == ({"api-version": ["2024-10-21"]} if name == "azure" else {}),
        "azure": has("api-key") == KEYS["AZURE_KEY"] and has("authorization") is None,
        "portkey": has("x-portkey-api-key") == KEYS["PORTKEY_API_KEY"],
        "provider": has("x-portkey-provider") == "openai",
        "cloudflare": has("cf-aig-authorization") == f"Bearer {KEYS['CF_AIG_TOKEN']}",
        "helicone": has("helicone-auth") == f"Bearer {KEYS['HELICONE_API_KEY']}",
        "openai": has("authorization") == openai_key,
        "path": url.path == path,
    }
    return next((complaint for check, complaint in complaints.items() if not right[check]), None)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("azure", {"api-key"}),
        ("portkey", {"authorization", "x-portkey-api-key", "x-portkey-provider"}),
        ("cloudflare", {"authorization", "cf-aig-authorization"}),
        ("helicone", {"authorization", "helicone-auth"}),
    ],
)
async def test_an_example_of_the_page_works(name: str, own: set[str]) -> None:
    """The worker's request has the headers and the query that this server needs, and no others."""

    async def respond(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        refused = refusal(name, request)
        if refused is None:
            events = [FILTERED, CHUNK] if name == "azure" else [CHUNK]
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            status, kind = "200 OK", "text/event-stream"
        else:
            status, body, kind = refused[0], json.dumps(refused[1]), "application/json"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()

    async with ScriptedServer(respond) as server:
        upstream = example(name)
        host = urlsplit(upstream["base_url"]).netloc
        upstream["base_url"] = upstream["base_url"].replace(f"https://{host}", f"http://127.0.0.1:{server.port}")
        environ = KEYS | {"OUTLIVE_UPSTREAMS": json.dumps({name: upstream})}
        client = connect_one(name, load(environ), environ)
        request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
        async with aclosing(client), client.open(request, {}, lambda: None) as chunks:
            received = [chunk async for chunk in chunks]
    assert CHUNK in received
    (sent,) = server.requests
    assert {header.lower() for header in sent.names} == ALWAYS | own
