"""PROTOCOL.md's table of upstream faults is what tests/e2e/test_faults.py runs."""

from pathlib import Path

from tests.e2e.test_faults import FAULTS, fault_table

PROTOCOL = Path(__file__).parents[2] / "shared" / "PROTOCOL.md"


def test_the_protocol_tells_the_faults_that_are_tested() -> None:
    """`python -m tests.unit.test_fault_table` prints the table to paste."""
    assert f"\n\n{fault_table()}\n\n" in PROTOCOL.read_text("utf-8")


def test_each_fault_has_a_name_of_its_own() -> None:
    """The rows are the tests' ids."""
    names = [fault.name for fault in FAULTS]
    assert sorted(set(names)) == sorted(names)


if __name__ == "__main__":
    print(fault_table())
