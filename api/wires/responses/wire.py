"""Owns the Responses wire: a log as numbered stream events."""

from typing import Final

from api.wires.openai.framing import Framing
from api.wires.responses.translator import ResponsesTranslator
from api.wires.wire import Head


class _Responses(Framing):
    def translator(self, head: Head) -> ResponsesTranslator:
        return ResponsesTranslator(head)


RESPONSES: Final = _Responses("go on with `starting_after` at /v1/responses/{id}")
