"""A provider that never stops, or sends far more than it seems to: a code of the table, and a bounded worker."""

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest

from tests.support.invariants import check_invariants
from tests.support.processes import OsProcess
from tests.support.redis_server import RedisServer
from tests.support.scripted_provider import DONE, HEAD, ScriptedProvider, chunk
from tests.support.stack import Stack
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

Floods = dict[str, tuple[str, Callable[[], AsyncIterator[bytes]]]]
"""By name: the code it ends with, and what the provider says."""

MEMORY_BYTES: Final = 100_000_000
"""Growth with all of them at once; each may be asked again and hold a megabyte and some buffers."""

INFLATED_BYTES: Final = 64 * 1024 * 1024
GZIP: Final = gzip.compress(bytes(INFLATED_BYTES), 1)
DEFLATED: Final = zlib.compress(b'data: {"choices":[]}\n\n' * 2_000_000, 1)
FILL: Final = b"x" * 65_536
HEALTHY: Final = 40


def head(*fields: str, status: int = 200, kind: str = "text/event-stream") -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", "Connection: close", *fields, "", ""]
    return "\r\n".join(lines).encode()


def endless(begin: bytes, again: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def saying() -> AsyncIterator[bytes]:
        yield begin
        while True:
            yield again
            await asyncio.sleep(0)

    return saying


def compressed(coding: str, body: bytes, **named: object) -> Callable[[], AsyncIterator[bytes]]:
    return endless(head(f"Content-Encoding: {coding}", **named), body)  # type: ignore[arg-type]  # status and kind


CHUNKED: Final = head("Transfer-Encoding: chunked")
ONE_TOKEN: Final = b"data: " + chunk(content="said") + b"\n\n"
FLOODS: Final[Floods] = {
    "gzip as a stream": ("upstream_protocol", compressed("gzip", GZIP)),
    "gzip by its old name, in capitals": ("upstream_protocol", compressed("X-GZIP", GZIP)),
    "deflate": ("upstream_protocol", compressed("deflate", DEFLATED)),
    "gzip in gzip": ("upstream_protocol", compressed("gzip, gzip", gzip.compress(GZIP, 1))),
    "a coding nobody knows": ("upstream_protocol", compressed("br", FILL)),
    "gzip as an error": ("upstream_protocol", compressed("gzip", GZIP, status=400, kind="application/json")),
    "gzip as a page": ("upstream_protocol", compressed("gzip", GZIP, kind="text/html")),
    "an error without end": ("upstream_protocol", endless(head(status=400, kind="application/json"), FILL)),
    "a JSON answer without end": ("upstream_protocol", endless(head(kind="application/json"), FILL)),
    "a line without end": ("upstream_protocol", endless(head() + ONE_TOKEN + b"data: ", FILL)),
    "a comment without end": ("upstream_protocol", endless(head() + ONE_TOKEN + b": ", FILL)),
    "an event of lines without end": ("upstream_protocol", endless(head() + ONE_TOKEN, b"data: x\n" * 8_192)),
    "a header without end": ("upstream_connection", endless(b"HTTP/1.1 200 OK\r\nX: ", FILL)),
    "headers without end": ("upstream_connection", endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 8_192)),
    "interim answers without end": ("upstream_connection", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000)),
    "trailers without end": ("upstream_connection", endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 8_192)),
}
SILENT: Final[Floods] = {
    "a chunk's length without end": ("upstream_timeout", endless(CHUNKED, b"0" * 65_536)),
    "a chunk's extension without end": ("upstream_timeout", endless(CHUNKED + b"1;", FILL)),
    "events that say nothing": ("upstream_timeout", endless(head(), b'data: {"choices":[]}\n\n' * 8)),
    "comments without a word": ("upstream_timeout", endless(head(), b": still here\n\n" * 8)),
}


async def healthy() -> AsyncIterator[bytes]:
    """A normal answer that lasts as long as the floods."""
    yield HEAD + b"\r\n"
    for n in range(HEALTHY):
        yield b"data: " + chunk(content=f"{n} ") + b"\n\n"
        # The pace of this provider.
        await asyncio.sleep(0.05)
    yield b"data: " + chunk("stop") + b"\n\n" + DONE


@contextlib.asynccontextmanager
async def max_memory(process: OsProcess) -> AsyncIterator[list[int]]:
    """The largest memory of the process meanwhile, as the only element."""
    largest = [0]

    async def sample() -> None:
        while True:
            largest[0] = max(largest[0], process.resident_bytes)
            # The sampling interval.
            await asyncio.sleep(0.05)

    sampling = asyncio.create_task(sample())
    try:
        yield largest
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


# A silent flood runs until its timeout, and leaves little CPU to everything else meanwhile, other tests included.
@pytest.mark.rule("R27", "R29")
@pytest.mark.parametrize(
    "floods", [pytest.param(FLOODS, id="loud"), pytest.param(SILENT, id="silent", marks=pytest.mark.long)]
)
async def test_a_flood_ends_by_the_table_and_drowns_nobody(redis_server: RedisServer, floods: Floods) -> None:
    """Many floods at once, beside an answer that completes; the worker never decompresses anything."""
    clocks = {"first_token_s": 3, "between_tokens_s": 3, "slots": 40}
    async with (
        ScriptedProvider() as provider,
        Stack(redis=redis_server, environ=provider.environ, settings=clocks) as stack,
    ):
        provider.scripts["healthy"] = healthy

        async def watched(model: str) -> str:
            made = await stack.create(model, on_interrupt="fail")
            transcript = await Viewer(made, stack.urls, within_s=90.0).follow()
            snapshot = await stack.snapshot(made)
            check_invariants([transcript], snapshot, await stack.log(made))
            return str((snapshot["error"] or {}).get("code") or snapshot["text"])

        text = "".join(f"{n} " for n in range(HEALTHY))
        worker = stack.workers[0]
        before_bytes = worker.resident_bytes
        async with max_memory(worker) as largest:
            models = ["healthy", *(provider.model_that_says(saying) for _, saying in floods.values())]
            ends = await asyncio.gather(*map(watched, models))
            assert dict(zip(floods, ends[1:], strict=True)) == {name: code for name, (code, _) in floods.items()}
            assert ends[0] == text
        assert largest[0] - before_bytes < MEMORY_BYTES
        assert worker.running
