"""Owns the parsing of the options in a model's name.

Pure. Knows nothing of the body that the name came in; see `chat_request`.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from outlive.deploy.demo_model.faults import AT_THE_END, INSTEAD, WITHIN
from outlive.deploy.demo_model.quirks.names import ALIVE, QUIRKS

MODEL: Final = "demo"

CALL_STYLES: Final = ("apart", "mixed", "named", "numbered", "bare", "zero")
NO_REASON: Final = "none"
FINISH_REASONS: Final = (
    "stop", "length", "tool_calls", "content_filter", NO_REASON,
    # Words of compatible servers: whole, cut, filtered, given up; and one that no server has.
    "end_turn", "eos_token", "STOP", "COMPLETE", "tool_use", "function_call", "max_tokens", "MAX_TOKENS", "LENGTH",
    "model_context_window_exceeded", "SAFETY", "PROHIBITED_CONTENT", "sensitive", "abort", "error", "network_error",
    "insufficient_system_resource", "malformed_function_call", "MALFORMED_FUNCTION_CALL", "unheard_of",
)  # fmt: skip
FAULTS: Final = (*INSTEAD, *WITHIN, *AT_THE_END)


_NAMES: Final = {"finish": FINISH_REASONS, "fault": FAULTS, "calls_as": CALL_STYLES, "quirk": QUIRKS, "alive": ALIVE}


class Refused(Exception):
    """A response other than 200, in OpenAI's words."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def _number(maximum: float, default: float | None = 0.0) -> Any:
    return field(default=default, metadata={"max": maximum})


def _count(maximum: int, default: int | None = 0) -> Any:
    return field(default=default, metadata={"max": maximum})


@dataclass(frozen=True, slots=True)
class Wish:
    """The parameters in a model name; see the package's docstring.

    The upper limits are far above any use. They only keep a typing mistake from running for a week.
    """

    pace_s: float = _number(3600.0, 0.02)
    first_s: float = _number(3600.0)
    tokens: int | None = _count(10_000_000, None)
    chars: int | None = _count(1_000_000, None)
    reasoning: int = _count(10_000_000)
    refusal: int = _count(10_000_000)
    tools: int = _count(128)
    turns: int = _count(10_000, 1)
    seed: int = _count(2**63)
    echo: int = _count(1)
    usage: int = _count(1, 1)
    gate_after: int = _count(10_000_000)
    gate: str | None = None
    finish: str | None = None
    fault: str | None = None
    after: int = _count(10_000_000)
    times: int = _count(1_000, None)
    retry_after_s: float | None = _number(3600.0, None)
    retry_after_date_s: float | None = _number(3600.0, None)
    retry_after_ms: int | None = _count(3_600_000, None)
    should_retry: int | None = _count(1, None)
    code: str | None = None
    calls_as: str = "apart"
    quirk: str = ""
    head_s: float = _number(3600.0)
    alive_s: float = _number(3600.0)
    alive: str = ALIVE[0]
    hold_s: float = _number(3600.0)

    @property
    def quirks(self) -> tuple[str, ...]:
        """The names in `quirk`."""
        return tuple(self.quirk.split("+")) if self.quirk else ()

    @property
    def is_rewritten(self) -> bool:
        """Whether the stream is more than its deltas in OpenAI's shape."""
        return bool(self.quirk or self.alive_s or self.hold_s)

    @classmethod
    def parse(cls, model: str) -> Self:
        """Read `demo;name=value;...`. Raises `Refused`."""
        name, *parts = model.split(";")
        if name != MODEL:
            raise Refused(
                404, f"The model `{model}` does not exist; this server has `{MODEL}`.", code="model_not_found"
            )
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for part in parts:
            key, equals, text = part.partition("=")
            if key not in known or not equals or not text:
                raise _bad_model(f"`{part}` in the model name is not a parameter this server knows.")
            maximum = known[key].metadata.get("max")
            values[key] = text if maximum is None else _within(key, text, maximum)
        wish = cls(**values)
        for key, names in _NAMES.items():
            for name in (getattr(wish, key) or "").split("+"):
                if name and name not in names:
                    raise _bad_model(f"`{key}={name}` is not one of {', '.join(names)}.")
        if wish.chars == 0:
            raise _bad_model("`chars=0` would never end; use 1 or more.")
        return wish


def _within(key: str, text: str, maximum: float) -> float | int:
    try:
        value = type(maximum)(text)
    except ValueError:
        value = -1
    if not 0 <= value <= maximum:
        raise _bad_model(f"`{key}={text}` is not a number from 0 to {maximum}.")
    return value


def _bad_model(message: str) -> Refused:
    return Refused(400, message, param="model", code="invalid_model_parameter")
