"""The test vectors: our encoder makes their byte streams, our reducers in Python their answers."""

from collections.abc import Sequence
from typing import Any

import pytest

from outlive.api.formats import native_sse
from outlive.api.formats.native import NATIVE, UNFOLDED
from outlive.api.generations.snapshot import Reduction
from outlive.shared.model.cursor import Cursor
from tests.support import vectors
from tests.support.invariants import check_invariants
from tests.support.sse import Parser
from tests.support.transcript import Transcript
from tests.support.vectors import NAMES, comparable
from tests.vectors.logs import ID, VECTORS
from tests.vectors.make import text_of


def seen(about: str, connections: Sequence[bytes]) -> Transcript:
    """What the tests' own viewer has of these connections."""
    transcript = Transcript(ID, about)
    for connection in connections:
        transcript.connected("a vector")
        for frame in Parser().feed(connection):
            transcript.saw(frame)
    return transcript


def without(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what the tests' own reducer does not say."""
    results = [{name: v for name, v in each.items() if v is not None} for each in answer["tool_results"]]
    calls = [{name: v for name, v in each.items() if name != "index"} for each in answer["tool_calls"]]
    error = answer["error"] and {name: v for name, v in answer["error"].items() if name != "retryable"}
    return answer | {"tool_results": results, "tool_calls": calls, "error": error}


def test_the_files_are_what_their_maker_makes() -> None:
    """`python -m tests.vectors.make` writes them."""
    assert sorted(vector.name for vector in VECTORS) == NAMES
    for vector in VECTORS:
        assert (vectors.FOLDER / f"{vector.name}.json").read_text("ascii") == text_of(vector), vector.name


@pytest.mark.rule("R1", "R9", "R33")
@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_makes_exactly_these_bytes(name: str) -> None:
    """After each cursor, folded and not."""
    vector = vectors.load(name)
    for stream in vector["streams"]:
        after = Cursor.parse_resume(stream["after"])
        rest = [event for event in vectors.log_of(vector) if event.cursor > after]
        frames = [native_sse.frame(event) for event in rest]
        encoding = NATIVE if stream["fold"] else UNFOLDED
        assert encoding.join(rest, frames) == stream["bytes"].encode(), stream["after"]


@pytest.mark.rule("R30", "R34")
@pytest.mark.parametrize("name", NAMES)
def test_the_snapshot_is_the_answer(name: str) -> None:
    """Read in one go, or with a result after every event."""
    vector = vectors.load(name)
    whole, stepwise = Reduction(), Reduction()
    for event in vectors.log_of(vector):
        whole.add(event)
        stepwise.add(event)
        stepwise.result()
    assert comparable(whole.result()) == comparable(stepwise.result()) == vector["answer"]


@pytest.mark.rule("R8", "R12", "R17", "R33")
@pytest.mark.parametrize("name", NAMES)
def test_every_viewer_has_the_answer(name: str) -> None:
    """Cut, resumed, reset, folded from any cursor; and what it saw is lawful."""
    vector = vectors.load(name)
    for about, connections in vectors.viewings(vector):
        transcript = seen(about, connections)
        assert comparable(transcript.reduce()) == without(vector["answer"]), about
        log = [(event["id"], event["type"], event["data"]) for event in vector["log"]]
        is_closed = vector["answer"]["status"] not in ("queued", "running")
        if not transcript.resets:
            check_invariants([transcript], log=log, finished=is_closed)


@pytest.mark.parametrize("name", NAMES)
def test_an_op_that_does_not_fit_is_refused(name: str) -> None:
    """A reducer that has lost its place does not guess."""
    for connections in vectors.refusals(vectors.load(name)):
        with pytest.raises(ValueError, match="does not fit"):
            seen("refused", connections).reduce()
