"""The exception tree: what users and operators read of it."""

import pytest

from outlive.shared import errors
from outlive.shared.errors import (
    LimitReached,
    LogFull,
    LogUnavailable,
    OutliveError,
    OwnershipLost,
    TooManyRequests,
    UpstreamBroken,
    UpstreamRefused,
)


def _tree(kind: type[OutliveError], depth: int = 0) -> list[tuple[int, str]]:
    below = [
        line for each in kind.__subclasses__() if each.__module__ == errors.__name__ for line in _tree(each, depth + 1)
    ]
    return [(depth, kind.__name__), *below]


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    """Its order and its branches, too."""
    drawn = []
    for line in (errors.__doc__ or "").splitlines():
        before, _, after = line.rpartition("── ")
        if line == "    OutliveError":
            drawn.append((0, "OutliveError"))
        elif after and before:
            drawn.append((len(before) // 4, after.split()[0]))
    assert drawn == _tree(OutliveError)


@pytest.mark.parametrize("name", [name for _, name in _tree(OutliveError)])
def test_every_error_has_a_message_in_one_line(name: str) -> None:
    """It is a sentence, shown as it is."""
    message = (getattr(errors, name).__doc__ or "").strip()
    assert message.endswith(".")
    assert "\n" not in message


def test_a_message_is_the_default_unless_another_is_given() -> None:
    """The class says what is wrong in general."""
    assert LogUnavailable().message == LogUnavailable.__doc__
    assert LogUnavailable("Redis is away.").message == "Redis is away."


def test_a_limit_says_when_to_come_back() -> None:
    """In the header that clients know; other headers go with it."""
    reached: LimitReached = TooManyRequests(retry_after_s=7, headers={"RateLimit": "x"})
    assert reached.headers == {"Retry-After": "7", "RateLimit": "x"}


def test_a_full_redis_is_an_unavailable_one() -> None:
    """Whoever waits for Redis waits for this, too; clients tell them apart by the code."""
    assert issubclass(LogFull, LogUnavailable)
    assert (LogFull.code, LogUnavailable.code) == ("capacity", "log_unavailable")


def test_an_upstream_error_carries_the_viewers_code() -> None:
    """And whether another attempt may succeed."""
    assert UpstreamRefused("bad_request", "no").failed_code == "bad_request"
    assert (UpstreamRefused.retryable, UpstreamBroken.retryable) == (False, True)
    assert UpstreamBroken("overloaded", "later", retry_after_s=2.0).retry_after_s == 2.0


def test_lost_ownership_says_what_the_log_replied() -> None:
    """In the attribute and in the text."""
    assert OwnershipLost("FENCED").reply == "FENCED"
    assert "FENCED" in OwnershipLost("FENCED").message
