"""Owns which tool call a piece belongs to: pieces as providers send them in, whole calls out.

Pure, except for the ids it makes up. Providers interleave calls, repeat ids or names on every piece, send only an
index, only an id or, after the first piece, neither; some give every call index 0, and some give the same ids in every
round. The result is one numbering and one id for each call of an attempt, because viewers and results name a call by
them.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from outlive.shared.errors import UpstreamBroken
from outlive.shared.model.events import ToolCall, ToolCallDone
from outlive.worker.upstream.pieces import CallPiece
from outlive.worker.upstream.provider_part import ProviderPart

MAX_CALLS: Final = 256
"""In one round. Each costs memory and events even without arguments; OpenAI accepts 128 tools."""


@dataclass(slots=True)
class _Call:
    """A call that grows; `given_id` is the provider's id for it."""

    index: int
    id: str
    given_id: str | None
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    is_announced: bool = False
    """Viewers have its id, and its name unless that is still to come."""
    provider: ProviderPart = field(default_factory=ProviderPart)

    @property
    def has_arguments(self) -> bool:
        return any(self.arguments)


@dataclass(slots=True)
class _OpenCalls:
    """The calls of the present round, by the provider's index and id."""

    calls: list[_Call] = field(default_factory=list)
    by_index: dict[int, _Call] = field(default_factory=dict)
    by_id: dict[tuple[int | None, str], _Call] = field(default_factory=dict)
    latest: _Call | None = None

    def find(self, piece: CallPiece) -> _Call | None:
        """Index before id, because some providers give several calls one id; but another id under a
        known index is another call, because others give every call index 0."""
        index, given_id = piece.index, piece.id
        if given_id is not None and (call := self.by_id.get((index, given_id))):
            return call
        if index is not None:
            call = self.by_index.get(index)
            if call is None and given_id is None and piece.name is None and (latest := self._without_arguments()):
                # Some servers give the first piece of a call, with its name, another index than the rest.
                call = self.by_index[index] = latest
            if call is not None and given_id is None and _begins_another(call, piece):
                return None
            return call if call and (given_id is None or call.given_id is None) else None
        if given_id is not None:
            return next((call for call in self.calls if call.given_id == given_id), None)
        # Only a name begins a call; a piece with none of the three continues the latest call.
        return None if piece.name else self.latest

    def _without_arguments(self) -> _Call | None:
        latest = self.latest
        return latest if latest is not None and latest.name and not latest.has_arguments else None

    def add(self, call: _Call, piece: CallPiece) -> None:
        self.calls.append(call)
        if piece.index is not None:
            self.by_index[piece.index] = call
        if piece.id is not None:
            self.by_id[piece.index, piece.id] = call


class ToolCalls:
    """The tool calls of one attempt. `names` are the tools that the model may call, None if nobody knows them."""

    def __init__(self, names: Collection[str] | None = None) -> None:
        self._names = names
        self._open = _OpenCalls()
        self._ids: set[str] = set()
        self._count = 0

    def add(self, piece: CallPiece) -> ToolCall | None:
        """The next piece as an event, with id and name when they are first known. None while the name may be only
        a part of one, because viewers keep the first name they see. Raises `UpstreamBroken`."""
        call = self._open.latest = self._open.find(piece) or self._begin(piece)
        name = _new_part_of_name(call, piece)
        call.name += name or ""
        call.arguments.append(piece.arguments)
        if piece.provider:
            call.provider.merge(piece.provider)
        if call.is_announced:
            return ToolCall(call.index, None, name, piece.arguments)
        return self._announce(call, piece.arguments) if call.has_arguments or self._is_whole(call.name) else None

    def end_round(self) -> list[ToolCallDone]:
        """The complete calls of this round, in order. The next pieces belong to other calls."""
        calls, self._open = self._open.calls, _OpenCalls()
        return [
            ToolCallDone(call.index, call.id, call.name, "".join(call.arguments), call.provider.members())
            for call in calls
        ]

    def complete_arguments(self) -> list[ToolCall]:
        """The pieces that calls without arguments lack: providers send nothing for an empty object, and clients parse
        the arguments as JSON."""
        empty = [call for call in self._open.calls if not call.has_arguments]
        for call in empty:
            call.arguments.append("{}")
        return [
            ToolCall(call.index, None, None, "{}") if call.is_announced else self._announce(call, "{}")
            for call in empty
        ]

    def reserve(self, call: ToolCallDone) -> None:
        """A call of an earlier attempt that is written again: its index and id are taken."""
        self._ids.add(call.id)
        self._count = max(self._count, call.index + 1)

    def _is_whole(self, name: str) -> bool:
        """Whether nothing can follow: it is a tool's name, and not the beginning of another's."""
        names = self._names
        return names is None or (name in names and not any(other.startswith(name) for other in names if other != name))

    @staticmethod
    def _announce(call: _Call, arguments: str) -> ToolCall:
        call.is_announced = True
        return ToolCall(call.index, call.id, call.name or None, arguments)

    def _begin(self, piece: CallPiece) -> _Call:
        if len(self._open.calls) >= MAX_CALLS:
            raise UpstreamBroken(
                "upstream_protocol", f"The provider made more than {MAX_CALLS} tool calls in one turn."
            )
        call_id = piece.id
        if call_id is None or call_id in self._ids:
            call_id = f"call_{uuid.uuid4().hex}"
        self._ids.add(call_id)
        call = _Call(self._count, call_id, piece.id)
        self._count += 1
        self._open.add(call, piece)
        return call


def _begins_another(call: _Call, piece: CallPiece) -> bool:
    """Whether a piece under a known index, without an id, is of another call: it names another tool behind the
    arguments of this one. Before any arguments a name may come in parts."""
    return bool(piece.name and call.name and piece.name != call.name and call.has_arguments)


def _new_part_of_name(call: _Call, piece: CallPiece) -> str | None:
    """The part of the name that this piece adds. Servers send a name once, repeat it on every piece, or send it in
    parts before the arguments."""
    if not piece.name or piece.name == call.name or (call.name and call.has_arguments):
        return None
    return piece.name
