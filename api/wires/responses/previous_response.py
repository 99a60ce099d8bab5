"""Owns the conversation that a response takes over from the previous one.

Pure. It is read from the previous response's request and log, so it exists as long as those are retained.
"""

from collections.abc import Iterable
from typing import Any

from outlive.api.wires.responses.input_items import Messages, messages_of
from outlive.api.wires.responses.responses_request import without_instructions


def conversation(request: dict[str, Any], output: Iterable[dict[str, Any]]) -> Messages:
    """The previous request's messages, and its response's output items as messages. Calls that were cut off are
    left out."""
    items = [item for item in output if item["type"] != "function_call" or item["status"] == "completed"]
    return [*without_instructions(request), *(messages_of(items) if items else ())]
