"""Bodies that are large or meant to be slow: counted and looked at by hand before anything costs time or memory."""

import json
import time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.api.generation_request import MAX_ITEMS
from outlive.api.generations.describe import describe, describe_beside
from outlive.api.http.json_bodies import parse_object
from outlive.api.wires.responses.responses_request import chat_of
from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import decode_json
from outlive.shared.model.stored_request import LARGE_BYTES, pack, unpack
from outlive.shared.settings import load
from outlive.worker.job import upstream_request

SOON_S: Final = 0.5
"""CPU. It takes a tenth of that. To validate 1 MiB of such a list takes more than a second."""
MESSAGE: Final = {"role": "user", "content": "x"}


def _described(raw: bytes) -> Any:
    return describe(parse_object(raw), None, "acme", load({}))


def _list_of(item: str, size_bytes: int, name: str = "messages") -> bytes:
    count = size_bytes // (len(item) + 1)
    return f'{{"model":"m","messages":[{{"role":"user"}}],"{name}":[{",".join([item] * count)}]}}'.encode()


@pytest.mark.rule("R83")
@pytest.mark.parametrize("size_bytes", [900_000, 20_900_000])
@pytest.mark.parametrize("item", ["0", "[]", '""', "{}", "[[]]"])
@pytest.mark.parametrize("name", ["messages", "tools"])
def test_a_list_of_nothing_is_refused_soon(name: str, item: str, size_bytes: int) -> None:
    """Before it is parsed if it has more values than any request has, else before it is validated."""
    raw = _list_of(item, size_bytes, name)
    before_s = time.thread_time()
    with pytest.raises(BadRequest) as refused:
        _described(raw)
    assert time.thread_time() - before_s < SOON_S
    assert len(refused.value.message) < 200


@pytest.mark.rule("R83")
@pytest.mark.parametrize("name", ["messages", "tools"])
def test_an_item_that_is_no_object_is_named(name: str) -> None:
    """The first one."""
    body = {"model": "m", "messages": [MESSAGE], name: [{"role": "user"}, 7, 8]}
    with pytest.raises(BadRequest, match=rf"^`{name}\.1`: must be an object"):
        describe(body, None, "acme", load({}))


@pytest.mark.rule("R83")
def test_a_list_may_be_long() -> None:
    """Up to its limit, on every wire."""
    messages = [MESSAGE] * MAX_ITEMS
    describe({"model": "m", "messages": messages}, None, "acme", load({}))
    chat_of({"model": "m", "input": messages}, ())
    for ask in (
        lambda: describe({"model": "m", "messages": [*messages, MESSAGE]}, None, "acme", load({})),
        lambda: chat_of({"model": "m", "input": [*messages, MESSAGE]}, ()),
        lambda: chat_of({"model": "m", "input": "x", "tools": [{}] * (MAX_ITEMS + 1)}, ()),
    ):
        with pytest.raises(BadRequest, match="10000"):
            ask()


@pytest.mark.rule("R83")
@pytest.mark.parametrize(
    "text", [",[{" * 300_000, '"a",' * 200_000, "\\" * 600_000 + ",[{" * 200_000, '\\",' * 200_000]
)
def test_what_is_inside_a_text_is_no_value(text: str) -> None:
    """A prompt may hold JSON, or a table."""
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    assert parse_object(raw)["messages"][0]["content"] == text


@pytest.mark.rule("R83")
def test_utf_16_is_not_json() -> None:
    """Python's parser accepts it, but its values cannot be counted."""
    with pytest.raises(BadRequest):
        parse_object('{"model":"m"}'.encode("utf-16"))


@pytest.mark.rule("R84")
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.integers(0, 20_000))
def test_what_is_stored_reads_as_it_was(text: str, times: int) -> None:
    """Small or large; a large one takes less room."""
    request = json.dumps({"messages": [text * times]}).encode()
    stored = pack(request)
    assert unpack(stored) == request
    assert len(stored) <= len(request)
    assert (stored == request) is (len(request) <= LARGE_BYTES)


@pytest.mark.rule("R84")
@pytest.mark.anyio
async def test_a_worker_reads_what_a_large_request_asks() -> None:
    """As the caller sent it."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Why is the sea blue? " * 50_000}]}
    new = await describe_beside(body, None, "acme", load({}))
    assert len(new.request) < LARGE_BYTES
    assert upstream_request(new.request) == body
    assert decode_json(unpack(new.request)) == body


@pytest.mark.rule("R84")
def test_nothing_is_inflated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything read that was not packed here."""
    stored = pack(b"{" + b" " * 1_000_000 + b"}")
    monkeypatch.setattr("outlive.shared.model.stored_request.MAX_BYTES", 999_999)
    for bad in (stored, stored[:-1], stored + b"x", b"\x01{}", b"\x01"):
        with pytest.raises(ValueError, match="stored request"):
            unpack(bad)
