"""Owns the Responses format: a log as numbered stream events. The events: `responses_translator.py`."""

from typing import Final

from outlive.api.formats.format import Head
from outlive.api.formats.resume_points import ResumedByNumber
from outlive.api.wires.openai.framing import Framing
from outlive.api.wires.responses.responses_translator import ResponsesTranslator


class _Responses(Framing, ResumedByNumber):
    def __init__(self, *, shows_request: bool) -> None:
        super().__init__("go on with `starting_after` at /v1/responses/{id}")
        self._shows_request = shows_request

    def translator(self, head: Head) -> ResponsesTranslator:
        return ResponsesTranslator(head if self._shows_request else unasked(head))


def unasked(head: Head) -> Head:
    """Without the request: a response repeats its instructions, and a link to an answer is for the answer alone."""
    return head._replace(request=b"{}")


RESPONSES: Final = _Responses(shows_request=True)
SHARED: Final = _Responses(shows_request=False)
"""For callers that hold a token for this answer alone."""
