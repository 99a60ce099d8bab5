"""What the client of a cluster decides without asking a node."""

import pytest
from redis.exceptions import (
    ConnectionError,  # noqa: A004  # redis-py's own name
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004  # redis-py's own name
)

from outlive.shared.store import scripts
from outlive.shared.store.cluster import Command, is_away, is_stray
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.slots import slot_of
from tests.support.ids import fresh_id

pytestmark = pytest.mark.rule("R54")


def test_a_command_goes_to_the_slot_of_its_first_key() -> None:
    """It is the second word of a plain command."""
    assert Command(("XRANGE", "ol:{07}:x:log", "-", "+"), {}).slot == slot_of("{07}")


def test_a_script_goes_to_the_slot_of_its_first_key() -> None:
    """Which stands behind the digest and the number of keys."""
    generation_id = fresh_id()
    call = scripts.Call(scripts.load("renew"), Keys("ol").of_script(generation_id), (generation_id,))
    assert Command(call.words(), {}).slot == slot_of(Keys("ol").log(generation_id))


@pytest.mark.parametrize(
    "reply",
    [
        ConnectionError("closed"),
        OSError("refused"),
        ResponseError("MOVED 7 10.0.0.1:7000"),
        ResponseError("CLUSTERDOWN x"),
    ],
)
def test_a_command_that_another_node_may_serve_is_sent_again(reply: Exception) -> None:
    """All our commands are idempotent."""
    assert is_stray(reply)


@pytest.mark.parametrize(
    "reply",
    [
        TimeoutError("5 s"),
        NoScriptError(),
        ReadOnlyError(),
        ResponseError("ERR syntax"),
        ResponseError("TRYAGAIN x"),
        b"OK",
        None,
        0,
    ],
)
def test_every_other_reply_is_the_callers(reply: object) -> None:
    """A command that timed out above all: a second wait would delay the other nodes' replies past their leases."""
    assert not is_stray(reply)


def test_a_node_that_refuses_is_not_away() -> None:
    """One that did not reply is."""
    assert is_away(TimeoutError())
    assert is_away(ConnectionError())
    assert not is_away(ResponseError("MOVED 7 10.0.0.1:7000"))
