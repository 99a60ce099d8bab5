"""What a server sends to a subscriber, sorted."""

import hiredis
import pytest

from outlive.shared.store.channels import Arrived, sort

pytestmark = pytest.mark.rule("R77")


def _sort(data: bytes) -> Arrived:
    reader = hiredis.Reader()
    reader.feed(data)
    replies = []
    while (reply := reader.gets()) is not False:
        replies.append(reply)
    return sort(replies)


def test_messages_and_confirmations_are_told_apart() -> None:
    """By the kind of the push, in order."""
    arrived = _sort(
        b">3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$3\r\nx\ny\r\n"
        b">3\r\n$8\r\nsmessage\r\n$1\r\nb\r\n$0\r\n\r\n>3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n$2\r\n17\r\n"
    )
    assert arrived.messages == [("a", b"x\ny"), ("b", b"")]
    assert (arrived.subscribed, arrived.unsubscribed, arrived.marks) == (["a"], ["a"], [17])


@pytest.mark.parametrize(("role", "is_primary"), [(b"master", True), (b"replica", False), (b"slave", False)])
def test_a_server_says_whether_it_takes_writes(role: bytes, is_primary: bool) -> None:
    """In its response to HELLO."""
    arrived = _sort(b"%%2\r\n$4\r\nrole\r\n$%d\r\n%s\r\n$5\r\nproto\r\n:3\r\n" % (len(role), role))
    assert (arrived.roles, arrived.is_primary) == ([role], is_primary)


def test_a_refusal_is_an_error_and_nothing_else() -> None:
    """A moved slot, say."""
    arrived = _sort(b"-MOVED 3999 127.0.0.1:6381\r\n$1\r\n4\r\n")
    assert (arrived.errors, arrived.marks, arrived.is_primary) == (["MOVED 3999 127.0.0.1:6381"], [4], True)
