"""Owns what an upstream is sent: the request as it was asked for, adapted as its settings and its own refusals say.

Pure. Providers refuse members that others require: `stream_options`, the role `developer`. What one refused is
remembered for as long as the process lives. Knows nothing of HTTP.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outlive.shared.upstreams import OURS

_USAGE: Final = {"include_usage": True}
_NAMES_STREAM_OPTIONS: Final = re.compile(r"stream_options|streamoptions|include_usage", re.IGNORECASE)
_NAMES_DEVELOPER: Final = re.compile(r"developer", re.IGNORECASE)
_REFUSALS: Final = frozenset({400, 422})
"""Statuses with which a provider refuses a member of the request."""


@dataclass(slots=True)
class RequestShape:
    """How requests to one upstream differ from how they were asked for."""

    drop: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    """Role of a message -> the role that this upstream knows instead."""
    has_stream_options: bool = True

    def body(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body to send. Members that are null are left out: they say nothing, and strict servers refuse them."""
        body = {
            self.rename.get(name, name): value
            for name, value in request.items()
            if value is not None and name not in OURS and name not in self.drop
        }
        body["stream"] = True
        if self.has_stream_options and "stream_options" not in self.drop:
            body.setdefault("stream_options", _USAGE)
        else:
            body.pop("stream_options", None)
        if self.roles and isinstance(messages := body.get("messages"), list):
            body["messages"] = [self._with_role(message) for message in messages]
        return body

    def learn(self, status: int, text: str, body: Mapping[str, Any]) -> bool:
        """Adapt to a refusal. True if the same request, shaped anew, may be accepted."""
        if status not in _REFUSALS:
            return False
        if "stream_options" in body and _NAMES_STREAM_OPTIONS.search(text):
            self.has_stream_options = False
            return True
        has_developer = any(
            isinstance(one, dict) and one.get("role") == "developer" for one in body.get("messages", ())
        )
        if has_developer and _NAMES_DEVELOPER.search(text):
            self.roles = self.roles | {"developer": "system"}
            return True
        return False

    def _with_role(self, message: Any) -> Any:
        if isinstance(message, dict) and message.get("role") in self.roles:
            return message | {"role": self.roles[message["role"]]}
        return message
