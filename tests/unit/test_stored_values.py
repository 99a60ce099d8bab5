"""Values of settings that may be secrets, in the three ways of writing them."""

import os
from pathlib import Path

import pytest

from outlive.shared.errors import SettingsError
from outlive.shared.stored_values import StoredValue

pytestmark = pytest.mark.rule("R70")


def test_a_value_is_a_literal_a_variable_or_a_file(tmp_path: Path) -> None:
    """The same everywhere; text may stand around a variable."""
    (tmp_path / "key").write_text("from file\n")
    environ = {"KEY": "from environment"}
    assert StoredValue("plain $5", environ).current() == "plain $5"
    assert StoredValue("Bearer ${KEY}", environ).current() == "Bearer from environment"
    assert StoredValue(f"file:{tmp_path}/key", environ).current() == "from file"


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Also when another file takes its name, as a mounted secret does."""
    path = tmp_path / "key"
    path.write_text("old")
    value = StoredValue(f"file:{path}", {})
    (tmp_path / "new").write_text("new")
    os.replace(tmp_path / "new", path)
    assert value.current() == "new"
    path.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        value.current()


@pytest.mark.parametrize("written", ["${NOT_SET}", "file:/nowhere/at/all"])
def test_a_value_that_is_not_there_is_said_at_once(written: str) -> None:
    """At start, by name, in one sentence."""
    with pytest.raises(SettingsError, match=r"NOT_SET|/nowhere"):
        StoredValue(written, {})
