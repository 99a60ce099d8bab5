"""Which functions of a module become tools: those that `@outlive.tool` marks."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import outlive
from outlive.shared.errors import SettingsError
from outlive.worker.tools.tool_modules import load_tools

NAME = "tools_of_this_test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that can be imported by `NAME`, still to be written."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / f"{NAME}.py"
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


def test_only_marked_functions_are_tools(module: Path) -> None:
    """Being public is not enough. Options are those of the mark; a second name does not make a second tool."""
    module.write_text(
        "from outlive import tool\n"
        "@tool\ndef one() -> str: ...\n"
        "@tool(timeout_s=2.5, repeatable=True)\nasync def two() -> str: ...\n"
        "def public() -> str: ...\n"
        "alias = one\n"
    )
    tools = load_tools(NAME)
    assert set(tools) == {"one", "two"}
    assert (tools["one"].options.timeout_s, tools["one"].options.repeatable) == (None, False)
    assert (tools["two"].options.timeout_s, tools["two"].options.repeatable) == (2.5, True)


def test_a_module_may_gather_the_tools_of_others(module: Path) -> None:
    """What it imports is its own."""
    module.with_name(f"{NAME}_more.py").write_text("from outlive import tool\n@tool\ndef one() -> str: ...\n")
    module.write_text(f"from {NAME}_more import one\n")
    assert set(load_tools(NAME)) == {"one"}


def test_a_marked_function_stays_what_it_was() -> None:
    """It can be called and tested as before."""

    def add(a: int, b: int) -> int:
        return a + b

    assert outlive.tool(add) is add
    assert outlive.tool(repeatable=True)(add) is add
    assert add(1, 2) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no tools; mark its functions with @outlive.tool"),
        ("raise RuntimeError('no')", "cannot be imported: RuntimeError('no')"),
        ("from outlive import tool\n@tool(retries=3)\ndef one(): ...", "cannot be imported: TypeError"),
        ("from outlive import tool\n@tool\nclass One: ...", "@outlive.tool marks plain functions only"),
        ("from outlive import tool\n@tool(timeout_s=-1)\ndef one(): ...", "one cannot be a tool"),
        ("from outlive import tool\n@tool\ndef one(a): ...", "its parameter a needs a type hint"),
        ("from outlive import tool\n@tool\ndef one(): ...\nother = one\n@tool\ndef one(): ...", "two tools named one"),
    ],
)
def test_a_module_that_cannot_be_used_is_refused_in_one_sentence(module: Path, text: str, sentence: str) -> None:
    """The operator reads the name of the setting and of the module."""
    module.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_tools(NAME)
    assert refused.value.message.startswith("OUTLIVE_TOOLS: ")
    assert sentence in refused.value.message


def test_an_object_that_has_every_attribute_is_no_tool(module: Path) -> None:
    """Modules hold mocks and lazy proxies; only a function can carry the mark."""
    module.write_text(
        "from unittest.mock import Mock\nfrom outlive import tool\nproxy = Mock()\n@tool\ndef one() -> str: ...\n"
    )
    assert set(load_tools(NAME)) == {"one"}


def test_the_decorator_refuses_what_is_not_a_function() -> None:
    """At once, where it stands."""
    with pytest.raises(TypeError, match="plain functions only"):
        outlive.tool(cast(Any, 3))
