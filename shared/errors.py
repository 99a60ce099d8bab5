"""Owns the one exception tree and the stable error codes that users meet.

    OutliveError
    ├── BadRequest                 the caller's mistake; nothing was changed
    │   ├── MalformedCursor
    │   ├── PayloadTooLarge
    │   ├── ModelNotFound
    │   └── IdempotencyConflict
    ├── Unauthenticated            no credential, or not a valid one
    ├── Forbidden                  a token for one generation, used for more than its rights
    ├── LimitReached               the caller has reached a limit of theirs; `headers` has Retry-After
    │   ├── TooManyRequests
    │   ├── TooManyGenerations
    │   ├── TooMuchStored          the tenant's answers take as much of Redis as they may
    │   ├── TooManyViewers
    │   ├── ProcessFull            this API process has all the viewers it may have; another one may have room
    │   └── BodiesFull             this API process holds all the bytes of bodies it may hold; another one may have room
    ├── IssuerUnavailable          the issuer of the caller's token does not respond; try again
    ├── GenerationNotFound
    ├── GenerationGone
    ├── LogUnavailable             Redis did not reply, or refused; try again
    │   ├── LogFull                Redis has no memory for a write
    │   └── AtCapacity             the API starts nothing new, so that running answers can finish
    ├── OwnershipLost              this worker may no longer write; `reply` is the log's reply code
    ├── UpstreamError              the provider failed; becomes the generation's `failed {code}`
    │   ├── UpstreamRefused        final: the provider would refuse the same request again
    │   └── UpstreamBroken         passing: another attempt may succeed
    ├── SettingsError              a setting is wrong; the process does not start
    └── UnfitRedis                 a Redis server is not fit; the process does not start

Pure. A class's docstring is its default message. `store/connect.py` and `worker/upstream` translate the exceptions of
libraries into these, always with `from`. Nothing catches programming errors.
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
    """The request is not valid; correct it and send it again."""

    code = "bad_request"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        """`param` names the part of the request that is not valid, if it is one part."""
        super().__init__(message)
        self.param = param


class MalformedCursor(BadRequest):
    """The event id to resume from is not `<epoch>-<seq>`; send the last id you got, or leave it out."""

    code = "malformed_cursor"


class PayloadTooLarge(BadRequest):
    """The request body is larger than this server accepts; send a smaller one."""

    code = "payload_too_large"


class ModelNotFound(BadRequest):
    """No upstream of this server serves this model; ask for one that it serves."""

    code = "model_not_found"


class IdempotencyConflict(BadRequest):
    """This Idempotency-Key was used before with another body; send a new key with a new request."""

    code = "idempotency_conflict"


class Unauthenticated(OutliveError):
    """The request has no valid credential; send an API key or a token as `Authorization: Bearer ...`."""

    code = "unauthenticated"


class Forbidden(OutliveError):
    """This token does not allow that; use an API key, or a token with that right."""

    code = "forbidden"


class LimitReached(OutliveError):
    """A limit is reached; wait as long as Retry-After says."""

    code = "limit_reached"

    def __init__(self, *, retry_after_s: int, headers: Mapping[str, str] | None = None) -> None:
        """`headers` go into the HTTP response beside Retry-After."""
        super().__init__()
        self.headers = {"Retry-After": str(retry_after_s), **(headers or {})}


class TooManyRequests(LimitReached):
    """Too many requests within a minute; wait as long as Retry-After says, until a new minute begins."""

    code = "rate_limited"


class TooManyGenerations(LimitReached):
    """You have as many queued and running generations as you may have; wait for one to end, or cancel one."""

    code = "too_many_generations"


class TooMuchStored(LimitReached):
    """Your requests and answers take as much memory as they may; delete some, or wait until some expire."""

    code = "too_much_stored"


class TooManyViewers(LimitReached):
    """This generation, or your address, has as many viewers as it may have; close one, or try again later."""

    code = "too_many_viewers"


class ProcessFull(LimitReached):
    """This API process has as many viewers as it may have; try again, another process may have room."""

    code = "too_many_viewers"


class BodiesFull(LimitReached):
    """This API process reads as many request bodies as it can hold; try again, another process may have room."""

    code = "capacity"


class IssuerUnavailable(OutliveError):
    """The issuer of this token cannot be reached, so the token cannot be checked; try again shortly."""

    code = "issuer_unavailable"


class GenerationNotFound(OutliveError):
    """There is no such generation; check the id and the credential."""

    code = "not_found"


class GenerationGone(OutliveError):
    """This generation was deleted, or its retention has passed; create a new one."""

    code = "gone"


class LogUnavailable(OutliveError):
    """Redis cannot be reached, or refuses to serve; try again shortly."""

    code = "log_unavailable"


class LogFull(LogUnavailable):
    """Redis is out of memory, so this server accepts nothing new; try again later."""

    code = "capacity"


class AtCapacity(LogUnavailable):
    """This server is full, so it starts nothing new; running answers go on. Try again later."""

    code = "capacity"


class OwnershipLost(OutliveError):
    """This attempt may no longer write to the log."""

    code = "lost_place"

    def __init__(self, reply: str) -> None:
        """`reply` is the log's reply code, one of `replies.LOST`."""
        super().__init__(f"this attempt may no longer write: the log replied {reply}")
        self.reply = reply


class UpstreamError(OutliveError):
    """The provider failed."""

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, message: str) -> None:
        """`code` and `message` are those of the viewers' `failed` event."""
        super().__init__(message)
        self.failed_code = code


class UpstreamRefused(UpstreamError):
    """The provider refused the request for good."""


class UpstreamBroken(UpstreamError):
    """The provider broke off, stalled or was overloaded."""

    retryable = True

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        """`retry_after_s` is how long the provider wants us to wait, if it said so."""
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class SettingsError(OutliveError):
    """A setting is wrong; see docs/settings.md."""

    code = "settings"


class UnfitRedis(OutliveError):
    """This Redis server cannot keep what Outlive promises; see its version and configuration."""

    code = "unfit_redis"
