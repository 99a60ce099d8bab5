"""Owns the policy: what is asked again, how often and after how long.

Before the first piece of an answer a request may be sent again: nobody has seen anything.
After it never within an attempt: the caller begins a new attempt (viewers are told to forget) or
fails. The openai SDK's own retries are off, or the two would multiply.
"""

from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from shared.errors import UpstreamBroken

_TRIES: Final = 4
_LONGEST_S: Final = 60.0
"""A provider that asks for more is not waited for: by then the user has asked again."""

_jittered = wait_random_exponential(multiplier=0.5, max=8)


class Unanswered(Exception):
    """The upstream broke off before it said anything; `cause` is how."""

    def __init__(self, cause: UpstreamBroken) -> None:
        super().__init__(cause.message)
        self.cause = cause


def before_first_piece() -> AsyncRetrying:
    """Tries of one request, with full jitter; the deadline is the caller's `timeout` around it."""
    return AsyncRetrying(
        retry=retry_if_exception(_may_ask_again), wait=_wait_s, stop=stop_after_attempt(_TRIES), reraise=True
    )


def _may_ask_again(error: BaseException) -> bool:
    return isinstance(error, Unanswered) and (error.cause.retry_after_s or 0) <= _LONGEST_S


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.cause.retry_after_s if isinstance(error, Unanswered) else None
    jitter_s: float = _jittered(state)
    # Retry-After is a floor for everybody at once, so jitter goes on top of it.
    return asked_s + jitter_s / 4 if asked_s else jitter_s
