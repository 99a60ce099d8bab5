"""What real processes log: one line of JSON for each record, its subject, and nothing that anybody wrote."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.processes import OsProcess
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.sse import open_events
from tests.support.stack import Stack, chat, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

KEY: Final = "sk-canary-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
PROMPT: Final = "canary-prompt-5f1c"


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    environ = {"OPENAI_API_KEY": KEY, "OUTLIVE_LOG_FORMAT": "json", "OUTLIVE_TOOLS": "tests.support.tools"}
    async with Stack(redis=redis_server, environ=environ) as running:
        yield running


def records_of(process: OsProcess) -> list[dict[str, Any]]:
    """All records it has printed; fails on a line that is not JSON."""
    return [json.loads(line) for line in process.whole_output().splitlines()]


async def test_each_line_is_json_and_says_what_it_is_about(stack: Stack) -> None:
    """Generation, attempt and trace, also in records of libraries."""
    trace = os.urandom(16).hex()
    header = [("traceparent", f"00-{trace}-{os.urandom(8).hex()}-01")]
    answer = await stack.post(chat(demo(fault="reset", after=2, pace_s=0)), headers=header)
    generation_id = answer.json()["id"]
    await stack.closed(generation_id)

    def lines() -> list[dict[str, Any]]:
        records = [line for line in records_of(stack.workers[0]) if line.get("generation") == generation_id]
        return records if len(records) >= 3 else []

    records = await until(lines, 5.0, "three lines of this generation")
    assert [(line["attempt"], line["message"]) for line in records] == [
        (1, "the provider broke off: upstream_connection"),
        (2, "the provider broke off: upstream_connection"),
        (3, "generation failed: upstream_connection"),
    ]
    for line in records:
        assert line["trace"] == trace
        assert (line["process"], line["logger"], line["pid"]) == ("worker", "outlive.worker.job", stack.workers[0].pid)
        assert line["level"] in ("info", "warning")
        assert line["timestamp"].endswith("Z")
    assert [line["message"] for line in records_of(stack.apis[0])][-1].startswith("serves http://")


async def test_neither_prompt_nor_answer_nor_key_is_ever_logged(stack: Stack) -> None:
    """However it ends: completed, refused, broken off, with a tool that raises, or cancelled. One answer repeats the
    prompt, so that the prompt is also the canary of answers."""
    prompt = f"{PROMPT} {KEY}"
    url = stack.urls[0]
    tool = {"type": "function", "function": {"name": "fail", "parameters": {"type": "object"}}}
    ended = [
        await stack.create(demo(tokens=30, pace_s=0), prompt=prompt),
        await stack.create(demo(fault="401", pace_s=0), prompt=prompt),
        await stack.create(demo(fault="error", after=2, pace_s=0), prompt=prompt),
        await stack.create(demo(echo=1, pace_s=0), prompt=prompt),
        await stack.create(demo(tools=1, pace_s=0), prompt=prompt, tools=[tool]),
    ]
    for generation_id in ended:
        await Viewer(generation_id, stack.urls).follow()
    endless = await stack.create(demo(tokens=100_000), prompt=prompt)
    async with open_events(url, endless) as stream:
        async for frame in stream:
            if frame.event == "token":
                break
    await stack.cancel(endless)
    assert (await request("POST", f"{url}/v1/generations", body={"model": prompt, "messages": prompt})).status == 400

    # Credentials in a header and, as an EventSource of a browser must send them, in the address.
    shown = [("authorization", f"Bearer {KEY}")]
    for path in (f"generations/{ended[0]}", f"generations/{ended[0]}/viewers?token={KEY}", f"generations/{KEY}"):
        assert (await request("GET", f"{url}/v1/{path}", headers=shown)).status in (200, 401, 404)

    await until(lambda: "generation completed" in stack.workers[0].whole_output(), 5.0, "something logged")
    assert "tool fail raised" in stack.workers[0].whole_output()
    for process in (*stack.apis, *stack.workers):
        logged = process.whole_output()
        for canary in (PROMPT, KEY, KEY[3:]):
            assert canary not in logged


async def test_nothing_is_logged_per_token(stack: Stack) -> None:
    """A long answer has no more lines than a short one."""

    async def lines_of(tokens: int) -> int:
        generation_id = await stack.create(demo(tokens=tokens, pace_s=0))
        await Viewer(generation_id, stack.urls).follow()

        def lines() -> int:
            return sum(line.get("generation") == generation_id for one in stack.workers for line in records_of(one))

        await until(lines, 5.0, "its end logged")
        return lines()

    assert await lines_of(5) == await lines_of(2_000) == 1


def test_an_exception_is_told_without_its_words(tmp_path: Path) -> None:
    """Its message may repeat its input; type and line say where to look. Our own exceptions keep their messages."""
    script = tmp_path / "raises.py"
    script.write_text(
        "import logging\nfrom outlive.shared.errors import LogUnavailable\nfrom outlive.shared.telemetry import logs\n"
        "logs.configure('worker', 'json')\n"
        "try:\n    try:\n        {}['canary-in-a-key']\n    except KeyError as error:\n"
        "        raise LogUnavailable from error\n"
        "except LogUnavailable:\n    logging.getLogger('a.b').exception('it broke', extra={'generation': 'gen_1'})\n"
    )
    line = run(script)
    assert (line["message"], line["generation"], line["level"]) == ("it broke", "gen_1", "error")
    assert "canary" not in json.dumps(line)
    assert "builtins.KeyError" in line["exception"]
    assert f"{script}:7 in <module>" in line["exception"]
    assert line["exception"].splitlines()[-1].startswith("outlive.shared.errors.LogUnavailable: ")


def run(script: Path) -> dict[str, Any]:
    """The one line that it logs."""
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    (line,) = ran.stderr.splitlines()
    records: dict[str, Any] = json.loads(line)
    return records
