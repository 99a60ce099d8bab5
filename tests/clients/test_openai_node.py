"""OpenAI's SDK for Node, which handles streams in its own way: the same answers as in Python."""

from typing import Any

import pytest

from tests.support import javascript
from tests.support.stack import PROMPT, Stack, demo, unique
from tests.support.tools import calling

pytestmark = pytest.mark.anyio


async def _does(stack: Stack, what: str, model: str, **more: Any) -> Any:
    addresses = {"baseURL": f"{stack.urls[0]}/v1", "other": f"{stack.urls[1]}/v1"}
    return await javascript.run("openai.mjs", {"what": what, "model": model, "prompt": PROMPT, **addresses, **more})


async def test_text_is_the_same_however_it_is_asked_for(stack: Stack) -> None:
    """Streamed, whole and by the helper, on both wires."""
    model = demo(pace_s=0, tokens=30, reasoning=3)
    texts = [*await _does(stack, "chat", model), *await _does(stack, "responses", model)]
    assert len(set(texts)) == 1
    assert texts[0]


async def test_calls_come_whole(stack: Stack) -> None:
    """The helper joins their pieces."""
    called = await _does(stack, "calls", demo(pace_s=0, tools=1), tools=[calling("a", x=1)])
    assert called == [{"name": "a", "arguments": '{"x": 1}'}]


@pytest.mark.rule("R51")
async def test_a_background_response_goes_on_after_every_number(stack: Stack) -> None:
    """On the other process."""
    result = await _does(stack, "background", demo(pace_s=0, tokens=8))
    numbers = result["numbers"]
    assert numbers == list(range(len(numbers)))
    assert result["rests"] == [numbers[number + 1 :] for number in numbers]
    assert result["status"] == "completed"


async def test_cancelling_twice_says_the_same_twice(stack: Stack) -> None:
    """By either process."""
    assert await _does(stack, "cancelled", demo(gate=unique())) == ["cancelled", "cancelled"]


@pytest.mark.rule("R52")
async def test_errors_are_raised(stack: Stack) -> None:
    """For a refusal, a failure after the first token, and an unknown id."""
    refused, failed, missing = await _does(
        stack, "errors", demo(pace_s=0), broken=demo(pace_s=0, fault="reset", after=3)
    )
    assert (refused["name"], refused["status"]) == ("BadRequestError", 400)
    assert (failed["name"], failed["code"]) == ("APIError", "upstream_connection")
    assert (missing["name"], missing["status"], missing["code"]) == ("NotFoundError", 404, "not_found")
