"""Owns what a response that follows another takes over from it: the conversation up to its end.

Pure. It is read from the former's log and request, so it holds for as long as that is retained.
"""

from collections.abc import Iterable
from typing import Any

from outlive.api.wires.responses.input_items import Messages, messages_of
from outlive.api.wires.responses.responses_request import without_instructions


def conversation(request: dict[str, Any], output: Iterable[dict[str, Any]]) -> Messages:
    """The former's messages and its output items as messages. Calls that were cut are left out."""
    said = [item for item in output if item["type"] != "function_call" or item["status"] == "completed"]
    return [*without_instructions(request), *(messages_of(said) if said else ())]
