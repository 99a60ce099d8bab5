"""Owns the policy: which requests are sent again, how often and after how long (PROTOCOL.md, Upstream faults).

Before the first piece of an answer a request may be sent again: no viewer has seen anything. After it never within an
attempt: the caller begins a new attempt (viewers are told to forget) or fails. The openai SDK's own retries are off, or
the two would multiply. Reads no clock: the time left is handed in.
"""

import random
from collections.abc import Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from outlive.shared.errors import UpstreamBroken

_TRIES: Final = 4
_TRIES_WHEN_SILENT: Final = 2
"""A silent provider costs the user the whole timeout each time, and may be thinking, and be paid for it."""
_MAX_WAIT_S: Final = 60.0
"""If a provider asks for more, we do not wait: by then the user has asked again."""
_PASSING: Final = frozenset({"upstream_connection", "upstream_unavailable", "upstream_rate_limited"})
_MAX_RESTART_S: Final = 0.5

_jittered = wait_random_exponential(multiplier=0.5, max=8)


class Unanswered(Exception):
    """The upstream broke off before the first piece; `cause` says how."""

    def __init__(self, cause: UpstreamBroken) -> None:
        super().__init__(cause.message)
        self.cause = cause


def before_first_piece(remaining_s: Callable[[], float]) -> AsyncRetrying:
    """Tries of one request, with full jitter. No wait is begun that would last longer than `remaining_s`: a request
    that fails anyway should fail now. The last failure comes out as it is."""
    return AsyncRetrying(
        retry=retry_if_exception(_may_retry),
        wait=_wait_s,
        stop=_stop(remaining_s),
        reraise=True,
    )


def may_fail_over(error: UpstreamBroken) -> bool:
    """Whether another upstream may be asked at once: this one could not be reached, or refused to serve for now."""
    return error.failed_code in _PASSING


def restart_wait_s() -> float:
    """The pause before a new attempt. When a provider dies, all its answers break off in the same moment, and must not
    come back in one."""
    return random.uniform(0, _MAX_RESTART_S)


def _may_retry(error: BaseException) -> bool:
    return isinstance(error, Unanswered) and (error.cause.retry_after_s or 0) <= _MAX_WAIT_S


def _wait_s(state: RetryCallState) -> float:
    asked_s = _cause(state).retry_after_s
    jitter_s: float = _jittered(state)
    # Retry-After is a floor for all clients at once, so jitter goes on top of it.
    return asked_s + jitter_s / 4 if asked_s else jitter_s


def _stop(remaining_s: Callable[[], float]) -> Callable[[RetryCallState], bool]:
    def is_enough(state: RetryCallState) -> bool:
        tries = _TRIES_WHEN_SILENT if _cause(state).failed_code == "upstream_timeout" else _TRIES
        return state.attempt_number >= tries or state.upcoming_sleep >= remaining_s()

    return is_enough


def _cause(state: RetryCallState) -> UpstreamBroken:
    """How the latest try failed; `_may_retry` has accepted it."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Unanswered)
    return error.cause
