"""The test vectors, read and reduced by our client in JavaScript."""

from typing import Any

import pytest

from tests.support import javascript, vectors
from tests.support.vectors import NAMES, comparable

pytestmark = pytest.mark.anyio


def reduced(answer: dict[str, Any], order: list[str]) -> dict[str, Any]:
    """JavaScript's answer in the vectors' words; results in the `order` of their ids."""
    calls = answer["toolCalls"]
    results = {call["id"]: call for call in calls if call["result"]}
    return {
        **{name: answer[name] for name in ("status", "attempt", "cursor", "text", "reasoning", "refusal", "json")},
        **{name: answer[name] for name in ("usage", "violations", "error")},
        "finish_reason": answer["finishReason"],
        "tool_calls": [{name: call[name] for name in ("index", "id", "name", "arguments")} for call in calls],
        "tool_results": [
            {
                "id": call_id,
                "name": results[call_id]["name"],
                "content": results[call_id]["result"]["content"],
                "error": results[call_id]["result"]["error"],
                "duration_ms": results[call_id]["result"]["durationMs"],
            }
            for call_id in order
        ],
    }


@pytest.mark.rule("R8", "R12", "R30", "R33", "R38")
async def test_every_viewer_has_the_answer() -> None:
    """Cut, resumed, reset, folded from any cursor."""
    cases = [(name, *viewing) for name in NAMES for viewing in vectors.viewings(vectors.load(name))]
    answers = await javascript.run("vectors.mjs", [[each.decode() for each in case[2]] for case in cases])
    for (name, about, _), answer in zip(cases, answers, strict=True):
        expected = vectors.load(name)["answer"]
        assert "broken" not in answer, (name, about)
        order = [result["id"] for result in expected["tool_results"]]
        assert comparable(reduced(answer, order)) == expected, (name, about)


async def test_an_op_that_does_not_fit_is_refused() -> None:
    """The same ones as in Python."""
    cases = [each for name in NAMES for each in vectors.refusals(vectors.load(name))]
    answers = await javascript.run("vectors.mjs", [[each.decode() for each in case] for case in cases])
    assert len(cases) > 20
    assert [answer for answer in answers if answer != {"broken": "RangeError"}] == []
