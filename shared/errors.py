"""Owns the one exception tree and the stable codes users meet.

    OutliveError
    ├── BadRequest                 the caller's mistake; nothing was changed
    │   ├── MalformedCursor
    │   ├── PayloadTooLarge
    │   ├── ModelNotFound
    │   └── IdempotencyConflict
    ├── Unauthenticated            who asks says not who he is, or not so that we believe it
    ├── Forbidden                  a token for one generation, used for more than it says
    ├── LimitReached               more than this caller may have or ask at once; `retry_after_s`
    │   ├── TooManyRequests
    │   ├── TooManyGenerations
    │   ├── TooManyViewers
    │   └── ProcessFull            this API process has all its viewers; another one may have room
    ├── IssuerUnavailable          whoever vouches for callers does not answer; try again
    ├── GenerationNotFound
    ├── GenerationGone
    ├── LogUnavailable             Redis did not answer, or refused; try again
    │   ├── LogFull                Redis refused a write for want of memory
    │   └── NoRoom                 nothing new is begun, so that what runs can be told to its end
    ├── LostPlace                  this worker may no longer write; `answer` says why
    ├── UpstreamError              the provider; becomes the generation's `failed {code}`
    │   ├── UpstreamRefused        theirs and final: asking again gives the same
    │   └── UpstreamBroken         theirs and passing: another attempt may do
    ├── SettingsError              said at start, in one sentence
    └── UnfitRedis                 the same, about the server

Pure. A class docstring is its default message. Libraries' exceptions are translated at the rims
(`connect.py`, `worker/upstream`), always with `from`. Programming errors are not caught.
"""

from collections.abc import Mapping
from typing import ClassVar


class OutliveError(Exception):
    """Something went wrong inside Outlive."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        return str(self.args[0])


class BadRequest(OutliveError):
    """The request is not valid."""

    code = "bad_request"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        """`param` is the part of the request that is not valid, where one can be named."""
        super().__init__(message)
        self.param = param


class MalformedCursor(BadRequest):
    """The event id to resume from is not `<epoch>-<seq>`; send the last id you got, or none."""

    code = "malformed_cursor"


class PayloadTooLarge(BadRequest):
    """The request body is larger than this server accepts."""

    code = "payload_too_large"


class ModelNotFound(BadRequest):
    """No upstream of this server serves this model."""

    code = "model_not_found"


class IdempotencyConflict(BadRequest):
    """This Idempotency-Key was used before with another body; use a new key for a new request."""

    code = "idempotency_conflict"


class Unauthenticated(OutliveError):
    """Send an API key or a token as `Authorization: Bearer ...`; none was sent, or it is not valid here."""

    code = "unauthenticated"


class Forbidden(OutliveError):
    """This token was made for less than that."""

    code = "forbidden"


class LimitReached(OutliveError):
    """A limit is reached."""

    code = "limit_reached"

    def __init__(self, *, retry_after_s: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.headers = {"Retry-After": str(retry_after_s), **(headers or {})}


class TooManyRequests(LimitReached):
    """Too many requests within a minute; Retry-After says when the next one counts for a new minute."""

    code = "rate_limited"


class TooManyGenerations(LimitReached):
    """As many generations as you may have at once are queued or run; wait for one to end, or cancel one."""

    code = "too_many_generations"


class TooManyViewers(LimitReached):
    """As many as may watch this generation at once, or watch from your address, do so."""

    code = "too_many_viewers"


class ProcessFull(LimitReached):
    """This API process has as many viewers as it may have; try again, another process may have room."""

    code = "too_many_viewers"


class IssuerUnavailable(OutliveError):
    """The issuer of tokens cannot be reached, so this one cannot be judged; try again shortly."""

    code = "issuer_unavailable"


class GenerationNotFound(OutliveError):
    """There is no such generation."""

    code = "not_found"


class GenerationGone(OutliveError):
    """This generation existed, but its log was deleted or its retention has passed."""

    code = "gone"


class LogUnavailable(OutliveError):
    """Redis cannot be reached or refuses to serve; try again shortly."""

    code = "log_unavailable"


class LogFull(LogUnavailable):
    """Redis is out of memory, so nothing new is accepted; try again later."""

    code = "capacity"


class AtCapacity(LogUnavailable):
    """This server is full, so nothing new is begun for now; what runs goes on. Try again later."""

    code = "capacity"


class OwnershipLost(OutliveError):
    """This attempt may no longer write to the log."""

    code = "lost_place"

    def __init__(self, answer: str) -> None:
        super().__init__(f"the log answered {answer}")
        self.answer = answer


class UpstreamError(OutliveError):
    """The provider failed. `code` is what viewers see in `failed`."""

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failed_code = code


class UpstreamRefused(UpstreamError):
    """The provider refused the request for good."""


class UpstreamBroken(UpstreamError):
    """The provider broke off, stalled or was overloaded."""

    retryable = True

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class SettingsError(OutliveError):
    """A setting is wrong."""

    code = "settings"


class UnfitRedis(OutliveError):
    """This Redis server cannot keep what Outlive promises."""

    code = "unfit_redis"
