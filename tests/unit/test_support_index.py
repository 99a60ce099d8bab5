"""The index of tests/support names every file in it, and docs/faults.md has the faults that tests/chaos runs."""

import re

from tests.support.processes import ROOT

SUPPORT = ROOT / "tests" / "support"


def test_the_index_of_support_names_each_file() -> None:
    """A helper that nobody finds is written a second time."""
    index = (SUPPORT / "README.md").read_text()
    files = [path.name for path in SUPPORT.glob("*.py") if path.name != "__init__.py"]
    assert [name for name in sorted(files) if f"`{name}`" not in index] == []
    assert [name for name in re.findall(r"`(\w+\.py)`", index) if name not in files] == []


def test_the_table_of_faults_has_the_rows_that_are_run() -> None:
    """Numbers in a row's name depend on the number of runs: they are not compared."""
    rows = re.findall(r"^\| ([^|]+) \| \d+ \|", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "chaos").glob("test_*.py"))
    faults = re.findall(r'pytest\.mark\.fault\(f?"([^"]+)"\)', tests)
    assert sorted(map(_without_numbers, rows)) == sorted(map(_without_numbers, faults))


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+|\{\w+\}", "N", name)
