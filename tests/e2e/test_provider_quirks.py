"""Each quirk of the demo model, on the whole path, as a viewer sees it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.e2e.quirk_cases import CASES, PROMPT, Calls, Case
from tests.support.invariants import LogEntry, check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

KEY: Final = "sk-e2e-0123456789abcdef"
SETTINGS: Final = {
    # Long enough that a busy machine is not taken for a silent provider, and shorter than every sign of life below.
    "first_token_s": 3,
    "between_tokens_s": 3,
    "tools": "tests.support.tools",
}


@dataclass(frozen=True)
class Seen:
    """The outcome of one case."""

    snapshot: dict[str, Any]
    transcript: Transcript
    log: list[LogEntry]
    asked: int


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One worker with short clocks and the tests' tools, in front of the demo model."""
    environ = {"OPENAI_API_KEY": KEY}
    async with Stack(redis=redis_server, settings=SETTINGS, environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
async def all_seen(stack: Stack) -> list[Seen | BaseException]:
    """All cases at the same time, because they mostly wait."""
    cases = [_see(stack, case, seed) for seed, case in enumerate(CASES)]
    return await asyncio.gather(*cases, return_exceptions=True)


async def _see(stack: Stack, case: Case, seed: int) -> Seen:
    # With the seed no other case has this name.
    model = demo(**{"pace_s": 0, "echo": 1, "chars": 1, "seed": seed} | dict(case.wishes))
    generation_id = await stack.create(model, prompt=PROMPT, **case.asks)
    transcript = await Viewer(generation_id, stack.urls).follow()
    snapshot = await stack.closed(generation_id, within_s=90)
    return Seen(snapshot, transcript, await stack.log(generation_id), len(await stack.model.requests(model)))


def _plain_calls(snapshot: Mapping[str, Any]) -> Calls:
    return [(call["name"], _parsed(call["arguments"])) for call in snapshot["tool_calls"]]


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_a_viewer_sees_the_answer_of_the_table(all_seen: list[Seen | BaseException], number: int) -> None:
    """The whole answer in whatever shape it comes, or the reason of its failure; and no needless request."""
    case, seen = CASES[number], all_seen[number]
    if isinstance(seen, BaseException):
        raise seen
    snapshot = seen.snapshot
    check_invariants([seen.transcript], snapshot, seen.log)

    error = snapshot["error"] or {}
    assert (snapshot["status"], error.get("code")) == ("failed" if case.code else "completed", case.code), error
    assert case.words in error.get("message", "")
    if case.code:
        assert error["retryable"] == (case.asked > 1 or bool(case.text))
    assert (snapshot["text"], snapshot["reasoning"]) == (case.text, case.reasoning)
    assert _plain_calls(snapshot) == case.calls
    assert snapshot["finish_reason"] == (None if case.code else case.finish)
    assert seen.asked == case.asked
    assert case.estimated in (None, snapshot["usage"].get("estimated", False))
    assert snapshot["usage"]["prompt_tokens"] > 0
    everything = str(seen.snapshot) + str(seen.log)
    assert case.in_log in everything
    # Some of the errors repeat the key, whole or in part.
    assert KEY[:8] not in everything
    assert KEY[-8:] not in everything
