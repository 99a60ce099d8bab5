"""Owns a generation besides its log: its id, its request, its state.

Pure. `create` takes a `NewGeneration`; reading the log's meta gives a `Meta`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

from outlive.shared.model.cursor import START, Cursor

ID_PREFIX: Final = "gen_"
_ID_HEX: Final = 32

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@|:+=/-]{0,127}", re.ASCII)
"""Issuers put these characters into `sub`; none of them means anything in a Redis key or pattern."""

OnInterrupt = Literal["restart", "fail"]

ECHO: Final = "outlive"
"""The member of a stored request that the provider never gets: the API's own notes about the request."""


class Status(StrEnum):
    """The state of a generation. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


CLOSED: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


def new_id(now_ms: int) -> str:
    """`gen_` + uuid7 hex (RFC 9562): 74 random bits, and later ids sort later. `now_ms` since 1970."""
    random = int.from_bytes(os.urandom(10))
    value = (
        (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return ID_PREFIX + UUID(int=value).hex


def derived_id(tenant: str, idempotency_key: str) -> str:
    """The one id of this tenant's key, so no second record has to be kept in step with the log (R3)."""
    digest = sha256(f"{len(tenant)}:{tenant}{idempotency_key}".encode("utf-8", "surrogatepass")).hexdigest()
    return ID_PREFIX + digest[:_ID_HEX]


def is_id(text: str) -> bool:
    """Whether this can be the id of a generation. Ask before it becomes part of a key."""
    digits = text.removeprefix(ID_PREFIX)
    return len(text) == len(ID_PREFIX) + _ID_HEX == len(ID_PREFIX) + len(digits) and set(digits) <= set(
        "0123456789abcdef"
    )


def is_tenant(text: str) -> bool:
    """Whether this can be the name of a tenant. Ask before it becomes part of a key."""
    return _TENANT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """Everything `create` needs. `request` is the JSON for the provider, `metadata` the caller's JSON."""

    id: str
    tenant: str
    model: str
    request: bytes
    metadata: bytes
    body_hash: str
    prompt_tokens: int
    on_interrupt: OnInterrupt
    deadline_s: float
    retention_s: float
    trace: str = ""
    """W3C traceparent under which its attempts are traced, or empty."""


@dataclass(frozen=True, slots=True)
class Meta:
    """A log's meta as it was when read. Times are Redis time in seconds; None: not yet."""

    tenant: str
    status: Status
    model: str
    last: Cursor
    """The last event in the log, as Redis knows it."""
    attempt: int
    terminal: Cursor | None
    metadata: bytes
    created_at: float
    started_at: float | None
    finished_at: float | None

    @property
    def is_closed(self) -> bool:
        return self.status in CLOSED


META_FIELDS: Final = (
    "status", "tenant", "model", "epoch", "seq", "attempt", "terminal", "metadata", "created", "started", "finished",
)  # fmt: skip

DELETED: Final = "deleted"
"""The status of a tombstone, which has no `Status`."""


def meta_of(fields: Mapping[str, bytes]) -> Meta:
    """Meta from its hash fields (`META_FIELDS`). Not for a tombstone."""
    terminal = fields.get("terminal")
    return Meta(
        tenant=fields["tenant"].decode(),
        status=Status(fields["status"].decode()),
        model=fields["model"].decode("utf-8", "surrogatepass"),
        last=Cursor(int(fields["epoch"]), int(fields["seq"])) if "epoch" in fields else START,
        attempt=int(fields["attempt"]),
        terminal=Cursor.parse(terminal.decode()) if terminal else None,
        metadata=fields["metadata"],
        created_at=int(fields["created"]) / 1000,
        started_at=_seconds(fields.get("started")),
        finished_at=_seconds(fields.get("finished")),
    )


def _seconds(ms: bytes | None) -> float | None:
    return int(ms) / 1000 if ms else None
