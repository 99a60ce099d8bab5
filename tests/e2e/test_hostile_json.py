"""JSON that is meant to harm, from callers and from the provider: a documented error, soon, and no effect on others."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import pytest

from tests.support.hostile_json import BEYOND_FLOATS, INVALID, UNUSUAL, nested
from tests.support.invariants import check_invariants
from tests.support.problem_responses import check_problem
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.scripted_provider import ScriptedProvider, error_response, stream
from tests.support.stack import Stack
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

WITHIN_S: Final = 10.0
"""For each. Most take milliseconds; others have both cores, and a thousand rounds of nothing take hours."""

MEMORY_BYTES: Final = 200_000_000
"""More than at rest, for all of them at once: each may have a megabyte in several shapes."""

JSON_TYPE: Final = [("Content-Type", "application/json")]
ONE_TOKEN: Final = {"content": "said"}
END: Final = {"finish": "stop"}
BROKEN: Final = "upstream_protocol"


def _usage(**counts: str) -> bytes:
    usage = {"prompt_tokens": "1", "completion_tokens": "1"} | counts
    members = ",".join(f'"{name}":{text}' for name, text in usage.items())
    return f'{{"choices":[],"usage":{{{members}}}}}'.encode()


def _call(piece: str) -> bytes:
    return f'{{"choices":[{{"index":0,"delta":{{"tool_calls":[{piece}]}}}}]}}'.encode()


def _named(name: str, index: str = "0", call_id: str = '"c"') -> str:
    return f'{{"index":{index},"id":{call_id},"function":{{"name":{name},"arguments":"{{}}"}}}}'


def _refused_with(body: bytes) -> bytes:
    return b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body


LONG: Final = json.dumps("x" * 900_000)
CHUNKS: Final[dict[str, tuple[str, bytes]]] = {
    **{f"a chunk: {name}": (BROKEN, stream(ONE_TOKEN, text.encode(), END)) for name, text in INVALID.items()},
    **{
        f"a chunk with {name}": ("completed", stream(ONE_TOKEN, b'{"choices":[],"x":%b}' % text.encode(), END))
        for name, text in UNUSUAL.items()
    },
    "an unending count": ("completed", stream(ONE_TOKEN, _usage(prompt_tokens=BEYOND_FLOATS), END)),
    "a count below nothing": ("completed", stream(ONE_TOKEN, _usage(completion_tokens="-7"), END)),
    "a count of 4,000 digits": ("completed", stream(ONE_TOKEN, _usage(total_tokens="9" * 4_000), END)),
    **{
        f"details: {name}": ("completed", stream(ONE_TOKEN, _usage(prompt_tokens_details=text), END))
        for name, text in {
            "a list": "[1,2]",
            "a word": '"x"',
            "numbers that are none": f'{{"a":NaN,"b":1e400,"c":{"9" * 4_000},"d":5}}',
            "deep": f'{{"a":{nested(900)}}}',
            "long": f'{{"a":{LONG}}}',
        }.items()
    },
    "a finish reason without end": (BROKEN, stream(ONE_TOKEN, b'{"choices":[{"finish_reason":%b}]}' % LONG.encode())),
    "a finish reason that is an object": (BROKEN, stream(ONE_TOKEN, b'{"choices":[{"finish_reason":{"a":1}}]}')),
    "a call at no place": (BROKEN, stream(_call(_named('"f"', index=BEYOND_FLOATS)), END)),
    "a call of no name": (BROKEN, stream(_call(_named('{"a":1}')), END)),
    "a call whose id is a list": (BROKEN, stream(_call(_named('"f"', call_id="[1]")), END)),
    "a call's long name": (BROKEN, stream(_call(_named(LONG)), END)),
    "a call's long id": (BROKEN, stream(_call(_named('"f"', call_id=LONG)), END)),
    "halves of characters for names": ("completed", stream(_call(_named('"\\ud800"', call_id='"\\udc00"')), END)),
    "ten thousand calls": (BROKEN, stream(_call(",".join(_named('"f"', str(n), f'"{n}"') for n in range(9_999))), END)),
    "an error that is deep": ("upstream_error", stream(ONE_TOKEN, f'{{"error":{nested(900)}}}'.encode())),
    "an error that is a number": ("upstream_error", stream(ONE_TOKEN, b'{"error":5}')),
    "a refusal with halves of characters": ("upstream_refused", error_response(400, "\ud800\0")),
    "a refusal, deep": ("upstream_refused", _refused_with(INVALID["deep"].encode())),
    "a refusal, no text": ("upstream_refused", _refused_with(b"\xff\xfe{")),
}

VALUES: Final[dict[str, str]] = {
    **{name: text for name, text in INVALID.items() if name != "half a string"},
    **UNUSUAL,
    "a number beyond floats": f'{{"a":{BEYOND_FLOATS}}}',
    "deeper than told": nested(250),
    "a long key": f'{{"{"k" * 200_000}":1}}',
}


class Ending(NamedTuple):
    transcript: Transcript
    snapshot: dict[str, Any]
    log: list[tuple[str, str, str]]


class Site(NamedTuple):
    provider: ScriptedProvider
    stack: Stack


@pytest.fixture(scope="module")
async def site(redis_server: RedisServer) -> AsyncIterator[Site]:
    async with ScriptedProvider() as provider, Stack(redis=redis_server, environ=provider.environ) as stack:
        yield Site(provider, stack)


async def _watched(site: Site, saying: bytes, **fields: Any) -> Ending:
    """One answer, watched from its beginning."""
    model = site.provider.model_that_says(saying)
    generation_id = await site.stack.create(model, on_interrupt="fail", **fields)
    transcript = await Viewer(generation_id, site.stack.urls).follow()
    log = await site.stack.log(generation_id)
    check_invariants([transcript], snapshot := await site.stack.snapshot(generation_id), log)
    for _, _, data in log:
        json.loads(data, parse_constant=_no_constant)
    return Ending(transcript, snapshot, log)


def _no_constant(word: str) -> Any:
    raise AssertionError(f"a browser does not read {word}")


async def _unharmed(site: Site, pids: tuple[int, int]) -> None:
    """Check that the same processes run as before and still work."""
    assert (site.stack.workers[0].pid, site.stack.apis[0].pid) == pids
    assert site.stack.workers[0].running
    ending = await _watched(site, stream(ONE_TOKEN, END))
    assert (ending.snapshot["status"], ending.snapshot["text"]) == ("completed", "said")


@pytest.mark.rule("R15", "R27", "R29")
async def test_whatever_a_provider_sends_ends_as_it_should(site: Site) -> None:
    """It ends by the table or as completed, never as an internal error; everything in the log is valid JSON."""
    worker = site.stack.workers[0]
    pids, before_bytes = (worker.pid, site.stack.apis[0].pid), worker.resident_bytes
    async with asyncio.timeout(6 * WITHIN_S):
        endings = await asyncio.gather(*(_watched(site, saying) for _, saying in CHUNKS.values()))
    codes = {
        name: (ending.snapshot["error"] or {}).get("code") or ending.snapshot["status"]
        for name, ending in zip(CHUNKS, endings, strict=True)
    }
    assert codes == {name: ends for name, (ends, _) in CHUNKS.items()}
    details = dict(zip(CHUNKS, endings, strict=True))["details: numbers that are none"].snapshot["usage"]
    assert details["prompt_tokens_details"] == {"d": 5}
    assert worker.resident_bytes - before_bytes < MEMORY_BYTES
    await _unharmed(site, pids)


@pytest.mark.rule("R32", "R34")
async def test_whatever_value_a_model_grows_is_told_in_bounds(site: Site) -> None:
    """As the answer and as the arguments of a tool: the text is complete, and the steps are small."""
    pids = (site.stack.workers[0].pid, site.stack.apis[0].pid)
    grown = await asyncio.gather(*(_grown(site, text) for text in VALUES.values()))
    for (name, text), (answer, call) in zip(VALUES.items(), grown, strict=True):
        assert (answer.snapshot["status"], answer.snapshot["text"]) == ("completed", text), name
        assert call.snapshot["status"] == "completed", name
        assert call.snapshot["tool_calls"][0]["arguments"] == text, name
        assert bool(answer.snapshot["violations"]) is (name not in _OBJECTS), name
        largest = max((len(data) for _, kind, data in (*answer.log, *call.log) if kind == "json"), default=0)
        assert largest <= 16_384, name
    await _unharmed(site, pids)


async def _grown(site: Site, text: str) -> list[Ending]:
    """The text as an answer that was to be an object, and as the arguments of a call; both in pieces."""
    pieces = [text[at : at + 5_000] for at in range(0, len(text), 5_000)]
    as_text = stream(*({"content": piece} for piece in pieces), END)
    head = _call('{"index":0,"id":"c","function":{"name":"f","arguments":""}}')
    called = stream(head, *({"tool_calls": [{"function": {"arguments": piece}}]} for piece in pieces), END)
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    return [await _watched(site, as_text, response_format=wanted), await _watched(site, called)]


_OBJECTS: Final = {
    "one key, a thousand times", "many keys", "halves of characters", "names that are something to JavaScript",
}  # fmt: skip


SCHEMAS: Final = {
    "compared each with each": {"$schema": "http://json-schema.org/draft-04/schema#", "enum": [*range(9_999), "a"]},
    "of too many parts": {"properties": {f"p{n}": {} for n in range(15_000)}},
}


@pytest.mark.rule("R61")
@pytest.mark.parametrize("path", ["/v1/generations", "/v1/chat/completions", "/v1/responses"])
async def test_a_body_that_is_meant_to_hurt_is_refused_or_answered(site: Site, path: str) -> None:
    """400 in its wire's words, or the answer; on every wire, at once, and never 500."""
    pids = (site.stack.workers[0].pid, site.stack.apis[0].pid)
    model = site.provider.model_that_says(stream(ONE_TOKEN, END))
    asked = '"input":"x"' if path.endswith("responses") else '"messages":[{"role":"user","content":"x"}]'

    async def send(value: str, field: str = "x") -> int:
        body = f'{{"model":"{model}",{asked},"{field}":{value}}}'.encode()
        answer = await request("POST", site.stack.urls[0] + path, headers=JSON_TYPE, body=body, within_s=WITHIN_S)
        if answer.status >= 400 and path == "/v1/generations":
            check_problem(answer, 400, "bad_request")
        return answer.status

    for name, text in {**INVALID, "beyond floats": BEYOND_FLOATS, "too deep": nested(120), "no text": "\xff"}.items():
        assert await send(text) == 400, name
    for name, text in UNUSUAL.items():
        assert await send(text) in (200, 201), name
    for name, schema in SCHEMAS.items():
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        if path.endswith("responses"):
            wanted = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
        assert await send(json.dumps(wanted), "text" if path.endswith("responses") else "response_format") == 400, name
    for text in INVALID.values():
        whole = await request("POST", site.stack.urls[0] + path, headers=JSON_TYPE, body=text.encode())
        assert whole.status == 400
    await _unharmed(site, pids)
