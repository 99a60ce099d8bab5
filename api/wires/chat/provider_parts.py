"""Owns what only the provider understands of an answer, as one chat completion shows it.

Pure. A client that runs its own tools sends the message back as it came; without these members a model that thinks
between its calls refuses that. They are those of the last turn: earlier turns are of calls that a worker ran.
"""

from typing import Any

from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import decode_json
from outlive.shared.model.events import EventType

_ATTEMPT = EventType.ATTEMPT.value.encode()
_CALL = EventType.TOOL_CALL_DONE.value.encode()
_TURN = EventType.TURN.value.encode()


class ProviderParts:
    """Takes a log event by event."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        """Members of the message."""
        self.response: dict[str, Any] = {}
        """Members beside the choices, such as citations."""
        self.calls: dict[str, dict[str, Any]] = {}
        """Members of each call, by its id."""

    def add(self, event: Logged) -> None:
        """Take the next event of the log."""
        if event.type == _ATTEMPT:
            self.message, self.response, self.calls = {}, {}, {}
        elif event.type == _CALL:
            data = decode_json(event.data)
            if provider := data.get("provider"):
                self.calls[data["id"]] = provider
        elif event.type == _TURN:
            provider = decode_json(event.data).get("provider") or {}
            self.message = provider.get("message") or {}
            self.response = provider.get("response") or {}
