"""LLM answers that outlive the connection that asked for them.

What applications import. Importing it loads neither the server's libraries nor redis-py.
"""

from typing import TYPE_CHECKING

from outlive.shared.errors import (
    AtCapacity,
    BadRequest,
    BodiesFull,
    Forbidden,
    GenerationGone,
    GenerationNotFound,
    IdempotencyConflict,
    IssuerUnavailable,
    LimitReached,
    LogFull,
    LogUnavailable,
    MalformedCursor,
    ModelNotFound,
    OutliveError,
    PayloadTooLarge,
    SettingsError,
    TooManyGenerations,
    TooManyRequests,
    TooManyViewers,
    TooMuchStored,
    Unauthenticated,
)
from outlive.worker.tools.decorator import tool

__all__ = [
    "AtCapacity",
    "BadRequest",
    "BodiesFull",
    "Forbidden",
    "GenerationGone",
    "GenerationNotFound",
    "IdempotencyConflict",
    "IssuerUnavailable",
    "LimitReached",
    "LogFull",
    "LogUnavailable",
    "MalformedCursor",
    "ModelNotFound",
    "OutliveError",
    "PayloadTooLarge",
    "SettingsError",
    "TooManyGenerations",
    "TooManyRequests",
    "TooManyViewers",
    "TooMuchStored",
    "Unauthenticated",
    "__version__",
    "tool",
]

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """The version, read when it is asked for: `importlib.metadata` takes longer to import than all the rest."""
        if name != "__version__":
            raise AttributeError(f"module 'outlive' has no attribute {name!r}")
        from importlib.metadata import version  # noqa: PLC0415

        return version("outlive")
