"""LLM answers that outlive the connection that asked for them.

What applications import. Importing it loads neither the server's libraries nor redis-py.
"""

from importlib.metadata import version as _version

from outlive.shared.errors import (
    AtCapacity,
    BadRequest,
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
    Unauthenticated,
)
from outlive.worker.tools.decorator import tool

__all__ = [
    "AtCapacity",
    "BadRequest",
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
    "Unauthenticated",
    "__version__",
    "tool",
]

__version__ = _version("outlive")
