"""Owns the policy: what is asked again, how often and after how long (PROTOCOL.md, Upstream faults).

Before the first piece of an answer a request may be sent again: nobody has seen anything. After it
never within an attempt: the caller begins a new attempt (viewers are told to forget) or fails.
The openai SDK's own retries are off, or the two would multiply.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from outlive.shared.errors import UpstreamBroken

_TRIES: Final = 4
_TRIES_OF_SILENCE: Final = 2
"""A silent provider costs its user the whole clock each time, and may be thinking, and be paid."""
_LONGEST_S: Final = 60.0
"""A provider that asks for more is not waited for: by then the user has asked again."""
_RESTART_MOST_S: Final = 0.5

_jittered = wait_random_exponential(multiplier=0.5, max=8)


class Unanswered(Exception):
    """The upstream broke off before it said anything; `cause` is how."""

    def __init__(self, cause: UpstreamBroken) -> None:
        super().__init__(cause.message)
        self.cause = cause


def before_first_piece(deadline: float) -> AsyncRetrying:
    """Tries of one request, with full jitter. No wait is begun that would pass `deadline` (loop
    time): who fails anyway should hear it now. The last failure comes out as it is."""
    return AsyncRetrying(
        retry=retry_if_exception(_may_ask_again),
        wait=_wait_s,
        stop=_enough(deadline),
        reraise=True,
    )


def restart_wait_s() -> float:
    """Before a new attempt. All answers of a provider that died break off in the same moment, and
    should not come back in one."""
    return random.uniform(0, _RESTART_MOST_S)


def _may_ask_again(error: BaseException) -> bool:
    return isinstance(error, Unanswered) and (error.cause.retry_after_s or 0) <= _LONGEST_S


def _wait_s(state: RetryCallState) -> float:
    asked_s = _cause(state).retry_after_s
    jitter_s: float = _jittered(state)
    # Retry-After is a floor for everybody at once, so jitter goes on top of it.
    return asked_s + jitter_s / 4 if asked_s else jitter_s


def _enough(deadline: float) -> Callable[[RetryCallState], bool]:
    def is_enough(state: RetryCallState) -> bool:
        tries = _TRIES_OF_SILENCE if _cause(state).failed_code == "upstream_timeout" else _TRIES
        ends_waiting = asyncio.get_running_loop().time() + state.upcoming_sleep
        return state.attempt_number >= tries or ends_waiting >= deadline

    return is_enough


def _cause(state: RetryCallState) -> UpstreamBroken:
    """Of the try that has just failed, which `_may_ask_again` has let through."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Unanswered)
    return error.cause
