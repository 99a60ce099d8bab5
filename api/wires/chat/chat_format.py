"""Owns the Chat Completions format: a log as `data:` chunks up to `[DONE]`. The chunks: `chat_translator.py`."""

from typing import Final

from outlive.api.formats.format import Head
from outlive.api.formats.resume_points import ResumedByCursor
from outlive.api.wires.chat.chat_translator import ChatTranslator
from outlive.api.wires.openai.framing import Framing


class _Chat(Framing, ResumedByCursor):
    def __init__(self, *, include_usage: bool) -> None:
        super().__init__("go on with Last-Event-ID at /v1/chat/completions/{id}/stream")
        self._include_usage = include_usage

    def translator(self, head: Head) -> ChatTranslator:
        return ChatTranslator(include_usage=self._include_usage)


CHAT: Final = _Chat(include_usage=False)
CHAT_WITH_USAGE: Final = _Chat(include_usage=True)
