"""Every way in which a provider fails, on the whole path, compared with the table in PROTOCOL.md (Upstream faults)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal

import pytest

from tests.support.invariants import LogEntry, check_invariants
from tests.support.ports import claim_port, release_port
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

When = Literal["before", "after", "end"]
OnInterrupt = Literal["restart", "fail"]


@dataclass(frozen=True)
class Fault:
    """One row: the fault, how many requests the provider gets in all, and how the generation ends."""

    name: str
    when: When
    restart: int
    fail: int
    ends: str
    retryable: bool | None
    wishes: dict[str, object] | str
    """For the demo model; or the name of another provider, which cannot count how often it is asked."""
    deadline_s: float | None = None


def _before(name: str, asked: int, ends: str, wishes: dict[str, object] | str, *, retryable: bool = True) -> Fault:
    return Fault(name, "before", asked, asked, ends, retryable, wishes)


def _after(name: str, ends: str, fault: str, **wishes: object) -> Fault:
    return Fault(name, "after", 3, 1, ends, True, {"fault": fault, "after": 3} | wishes)


def _completed(name: str, when: When = "end", **wishes: object) -> Fault:
    return Fault(name, when, 1, 1, "completed", None, wishes)


FAULTS: Final = [
    _before("connection refused", 4, "upstream_connection", "refused"),
    _before("host name unknown", 4, "upstream_connection", "unknown"),
    _before("TLS fails", 4, "upstream_connection", "tls"),
    _before("silence", 2, "upstream_timeout", {"fault": "stall"}),
    Fault("comments only, until the deadline", "before", 1, 1, "deadline_exceeded", True, {"fault": "comments"}, 5),
    _before("401", 1, "upstream_auth", {"fault": 401}, retryable=False),
    _before("404", 1, "upstream_refused", {"fault": 404}, retryable=False),
    _before("408", 4, "upstream_unavailable", {"fault": 408}),
    _before("409", 4, "upstream_unavailable", {"fault": 409}),
    _before("429", 4, "upstream_rate_limited", {"fault": 429}),
    _before("429, Retry-After in seconds", 4, "upstream_rate_limited", {"fault": 429, "retry_after_s": 1}),
    _before("429, Retry-After as a date", 4, "upstream_rate_limited", {"fault": 429, "retry_after_date_s": 2}),
    _before("429, Retry-After beyond a minute", 1, "upstream_rate_limited", {"fault": 429, "retry_after_s": 61}),
    _before("500", 4, "upstream_unavailable", {"fault": 500}),
    _before("500, a body without end", 4, "upstream_protocol", {"fault": "endless_500"}),
    _before("503", 4, "upstream_unavailable", {"fault": 503}),
    _before("200 with HTML", 4, "upstream_protocol", {"fault": "html"}),
    _before("200 with a JSON error", 4, "upstream_error", {"fault": "json_error"}),
    _completed("200 with a whole completion", fault="whole"),
    _before("compressed, though asked not to", 4, "upstream_protocol", {"fault": "gzip"}),
    _before("an error told in the stream, first", 4, "upstream_error", {"fault": "error"}),
    _before("reset before any token", 4, "upstream_connection", {"fault": "reset"}),
    _before("an end before any token", 4, "upstream_truncated", {"fault": "cut"}),
    Fault("silence between tokens", "after", 2, 1, "upstream_timeout", True, {"fault": "stall", "after": 3}),
    Fault(
        "comments only between tokens, until the deadline",
        *("after", 1, 1, "deadline_exceeded", True, {"fault": "comments", "after": 3}, 5),
    ),
    _after("reset inside an HTTP chunk", "upstream_connection", "reset"),
    _after("half-closed inside an HTTP chunk", "upstream_connection", "half_close"),
    # Apart from the tokens: the client would not see what arrives in one read with the head of the response.
    _after("broken HTTP chunks", "upstream_connection", "bad_framing", pace_s=0.5),
    _after("a clean end without a finish reason", "upstream_truncated", "cut"),
    _after("half a line", "upstream_truncated", "half_line"),
    _after("an error told in the stream", "upstream_error", "error"),
    _after("an error in the stream without `data:`", "upstream_error", "bare_error"),
    _after("a chunk that is not JSON", "upstream_protocol", "bad_json"),
    _after("a chunk that is no chunk", "upstream_protocol", "not_a_chunk"),
    _after("bad UTF-8", "upstream_protocol", "bad_utf8"),
    Fault("a line without end", "after", 1, 1, "upstream_protocol", False, {"fault": "endless_line", "after": 3}),
    Fault("an event over 1 MiB", "after", 1, 1, "upstream_protocol", False, {"fault": "large_event", "after": 3}),
    Fault("output over the limit", "after", 1, 1, "output_too_large", False, {"tokens": 200, "chars": 1000}),
    _completed("a piece over the event limit: split", "after", tokens=1, chars=40_000),
    _completed("empty choices: ignored", "after", fault="empty_choices", after=3),
    _completed("no `[DONE]` after the finish reason", fault="no_done"),
    _completed("silence after the finish reason", fault="silent_end"),
]
CASES: Final[list[tuple[Fault, OnInterrupt]]] = [
    (fault, policy) for fault in FAULTS for policy in ("restart", "fail")
]  # fmt: skip

SETTINGS: Final = {
    # Long enough that a busy machine does not look like a silent provider.
    "first_token_s": 3,
    "between_tokens_s": 3,
    "max_output_bytes": 60_000,
}


@dataclass(frozen=True)
class Ending:
    """What was observed of one case."""

    snapshot: dict[str, Any]
    transcript: Transcript
    log: list[LogEntry]
    asked: int | None


def fault_table() -> str:
    """The table as PROTOCOL.md must have it; see tests/unit/test_fault_table.py."""
    rows = ["| fault | when | asked, `restart` | asked, `fail` | ends as | retryable |", "|---|---|--:|--:|---|---|"]
    for f in FAULTS:
        retryable = "" if f.retryable is None else str(f.retryable).lower()
        rows.append(f"| {f.name} | {f.when} | {f.restart} | {f.fail} | `{f.ends}` | {retryable} |")
    return "\n".join(rows)


@pytest.fixture(scope="module")
async def stacks(redis_server: RedisServer) -> AsyncIterator[dict[str, Stack]]:
    """One stack with the demo model, and one for each provider that cannot be reached."""
    nobody = claim_port()
    # The key that the demo model's 401 repeats in its message.
    demo_stack = Stack(redis=redis_server, settings=SETTINGS, environ={"OPENAI_API_KEY": "sk-proj-demo1234secretwxyz"})
    unreachable = {
        "refused": f"http://127.0.0.1:{nobody}/v1",
        "unknown": "http://no-such-provider.invalid/v1",
        # The port of the demo model, which speaks no TLS.
        "tls": f"{demo_stack.model.url.replace('http:', 'https:')}/v1",
    }
    by_provider = {"demo": demo_stack} | {
        name: Stack(redis=redis_server, settings=SETTINGS, environ={"OPENAI_BASE_URL": url})
        for name, url in unreachable.items()
    }
    async with AsyncExitStack() as running:
        await asyncio.gather(*(running.enter_async_context(stack) for stack in by_provider.values()))
        yield by_provider
    release_port(nobody)


@pytest.fixture(scope="module")
async def endings(stacks: dict[str, Stack]) -> list[Ending | BaseException]:
    """All cases at the same time, because they mostly wait."""
    cases = [_end(stacks, fault, policy, seed) for seed, (fault, policy) in enumerate(CASES)]
    return await asyncio.gather(*cases, return_exceptions=True)


async def _end(stacks: dict[str, Stack], fault: Fault, policy: OnInterrupt, seed: int) -> Ending:
    other = fault.wishes if isinstance(fault.wishes, str) else None
    stack = stacks[other or "demo"]
    wishes = {} if isinstance(fault.wishes, str) else fault.wishes
    # With the seed no other case has this name.
    model = demo(seed=seed, **{"pace_s": 0, "tokens": 6} | wishes)
    limits: dict[str, Any] = {} if fault.deadline_s is None else {"deadline_s": fault.deadline_s}
    generation_id = await stack.create(model, on_interrupt=policy, **limits)
    transcript = await Viewer(generation_id, stack.urls).follow()
    snapshot = await stack.closed(generation_id)
    asked = None if other else len(await stack.model.requests(model))
    return Ending(snapshot, transcript, await stack.log(generation_id), asked)


@pytest.mark.rule("R13", "R14", "R27")
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{fault.name}: {policy}" for fault, policy in CASES])
async def test_a_fault_ends_as_the_table_says(endings: list[Ending | BaseException], case: int) -> None:
    """Its code, whether a retry may help, the number of requests, and always a usage."""
    (fault, policy), ending = CASES[case], endings[case]
    if isinstance(ending, BaseException):
        raise ending
    snapshot = ending.snapshot
    check_invariants([ending.transcript], snapshot, ending.log)

    if fault.ends == "completed":
        assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "stop")
    else:
        assert snapshot["status"] == "failed"
        assert (snapshot["error"]["code"], snapshot["error"]["retryable"]) == (fault.ends, fault.retryable)
    asked = fault.restart if policy == "restart" else fault.fail
    assert ending.asked in (asked, None)
    assert snapshot["attempt"] == (asked if fault.when == "after" else 1)
    assert bool(snapshot["text"]) == (fault.when != "before")
    assert snapshot["usage"]["prompt_tokens"] > 0
    assert snapshot["usage"].get("estimated", False) == (snapshot["status"] == "failed")
    # The message of the 401 contains a key; nothing that a viewer gets may contain it.
    assert "sk-proj" not in str(snapshot) + str(ending.log)
