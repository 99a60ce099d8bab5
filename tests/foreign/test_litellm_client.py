"""LiteLLM as a client: a library nobody here wrote, which has Outlive for its provider."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.foreign.test_litellm import PYTHON
from tests.support import javascript
from tests.support.redis_server import RedisServer
from tests.support.stack import PROMPT, Stack, demo
from tests.support.tools import calling

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """Outlive over the demo model."""
    async with Stack(redis=redis_server) as running:
        yield running


async def test_it_gets_text_calls_and_refusals(stack: Stack) -> None:
    """Streamed and whole, on both of OpenAI's wires."""
    given = {
        "base_url": f"{stack.urls[0]}/v1",
        "model": demo(pace_s=0, tokens=30, reasoning=3),
        "calls": demo(pace_s=0, tools=1),
        "tools": [calling("a", x=1)],
        "prompt": PROMPT,
    }
    script = Path(__file__).with_name("litellm_client.py")
    printed = await javascript.output([str(PYTHON), str(script)], json.dumps(given), within_s=100)
    # It has something to say of its own when it raises.
    said = json.loads(printed.splitlines()[-1])

    assert len(set(said["texts"])) == 1
    assert said["texts"][0]
    assert said["calls"] == [["a", '{"x": 1}']]
    assert "`n` must be 1" in said["refused"]
