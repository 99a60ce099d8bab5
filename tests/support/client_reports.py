"""Owns turning the report of a client in another language into a transcript, as our own viewer makes it."""

from collections.abc import Iterable
from typing import Any

from outlive.shared.model.codec import decode_json, encode_json
from tests.support.invariants import LogEntry
from tests.support.sse import Parser
from tests.support.transcript import Transcript


def transcript_of(generation_id: str, client: str, events: Iterable[dict[str, Any]]) -> Transcript:
    """`events` are `{id, type, data}` in the order in which the client reported them."""
    transcript = Transcript(generation_id, client)
    for event in events:
        head = f"id: {event['id']}\n" if event["id"] else ""
        raw = f"{head}event: {event['type']}\ndata: ".encode() + encode_json(event["data"]) + b"\n\n"
        transcript.saw(Parser().feed(raw)[0])
    return transcript


def reencoded(log: Iterable[LogEntry]) -> list[LogEntry]:
    """A log whose JSON was decoded and encoded again. Its bytes may differ: 1.50 becomes 1.5."""
    return [(entry_id, kind, encode_json(decode_json(data)).decode()) for entry_id, kind, data in log]
