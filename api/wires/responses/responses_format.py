"""Owns the Responses wire: a log as numbered stream events."""

from typing import Final

from outlive.api.formats.format import Head
from outlive.api.wires.openai.framing import Framing
from outlive.api.wires.responses.responses_translator import ResponsesTranslator


class _Responses(Framing):
    def __init__(self, *, asked: bool) -> None:
        super().__init__("go on with `starting_after` at /v1/responses/{id}")
        self._asked = asked

    def translator(self, head: Head) -> ResponsesTranslator:
        return ResponsesTranslator(head if self._asked else unasked(head))


def unasked(head: Head) -> Head:
    """Without the request: a response repeats its instructions, and a link to an answer is for the answer."""
    return head._replace(request=b"{}")


RESPONSES: Final = _Responses(asked=True)
SHARED: Final = _Responses(asked=False)
"""For who holds a token for this answer alone."""
