"""A provider's stream as chunks, and what in it is no chunk."""

from typing import Any

import pytest

from outlive.shared.errors import UpstreamBroken
from outlive.worker.upstream.chunks import Read, chunks_of

pytestmark = pytest.mark.anyio


def _body(*events: bytes) -> Read:
    pieces = iter([b"data: " + event + b"\n\n" for event in events])

    async def read() -> bytes:
        return next(pieces, b"")

    return read


async def _read(*events: bytes) -> list[Any]:
    return [chunk async for chunk in chunks_of(_body(*events))]


async def test_chunks_end_with_the_providers_last_word() -> None:
    """What follows is read and not told."""
    assert await _read(b'{"a": 1}', b'{"a": 2}', b"[DONE]", b'{"a": 3}') == [{"a": 1}, {"a": 2}]


@pytest.mark.rule("R15")
async def test_what_pythons_parser_takes_is_taken() -> None:
    """Half an emoji, which orjson refuses."""
    assert await _read(rb'{"a": "\ud83d"}') == [{"a": "\ud83d"}]
    assert len(await _read(b'{"logprob": NaN}')) == 1


@pytest.mark.parametrize(
    "event", [b"half", b'{"a": "\xff"}', b"[" * 100_000, b'{"a": NaN, "b": ' + b"9" * 5_000 + b"}"]
)
async def test_what_cannot_be_parsed_is_the_providers_fault(event: bytes) -> None:
    """All that a JSON parser may raise, after what came before."""
    chunks = chunks_of(_body(b'{"a": "chunk"}', event))
    assert await anext(chunks) == {"a": "chunk"}
    with pytest.raises(UpstreamBroken) as caught:
        await anext(chunks)
    assert caught.value.failed_code == "upstream_protocol"
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("error", "message"), [(b'{"message": "no credit"}', "no credit"), (b'"said"', "said"), (b'{"code": 7}', "error")]
)
async def test_an_error_inside_the_stream_is_raised(error: bytes, message: str) -> None:
    """As the provider told it."""
    with pytest.raises(UpstreamBroken, match=message) as caught:
        await _read(b'{"error": ' + error + b"}")
    assert caught.value.failed_code == "upstream_error"
