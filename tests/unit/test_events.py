"""The closed list of event types and its data classes."""

import dataclasses
import re
from importlib import resources
from typing import get_args

import pytest

from outlive.shared.model.events import FOLDABLE, TERMINAL, Delta, Event, EventType, Terminal, type_of_bytes

_CLASSES = get_args(Event)


def test_every_type_has_one_class_and_every_class_one_type() -> None:
    """The list is closed on both sides."""
    assert sorted(EventType) == sorted(kind.type for kind in _CLASSES)


@pytest.mark.rule("R5")
def test_the_three_endings_are_the_terminal_classes() -> None:
    """What ends a log is one of three, and each carries usage and totals."""
    assert {kind.type for kind in get_args(Terminal)} == TERMINAL
    for kind in get_args(Terminal):
        assert {"usage", "chars", "events"} <= {field.name for field in dataclasses.fields(kind)}


@pytest.mark.rule("R9")
def test_only_pieces_of_what_the_model_says_fold() -> None:
    """Each has one text to join, the last of its fields."""
    foldable = [kind for kind in get_args(Delta) if kind.type in FOLDABLE]
    assert len(FOLDABLE) == len(foldable)
    assert all(dataclasses.fields(kind)[-1].name in ("text", "arguments") for kind in foldable)


def test_types_are_found_by_their_bytes() -> None:
    """The log gives bytes."""
    assert {t.value.encode(): t for t in EventType} == type_of_bytes


def test_events_are_frozen() -> None:
    """One id, one meaning: nobody edits an event that is on its way."""
    assert all(kind.__dataclass_params__.frozen for kind in _CLASSES)


def test_the_specification_names_every_type_with_its_fields() -> None:
    """PROTOCOL.md, Events, and the classes say the same."""
    text = (resources.files("outlive.shared") / "PROTOCOL.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\{[^`]*\})`", text, re.MULTILINE))
    for kind in _CLASSES:
        told = [name.rstrip("?") for name in rows[kind.type].strip("{}").split(", ")]
        assert [field.name for field in dataclasses.fields(kind)] == told
