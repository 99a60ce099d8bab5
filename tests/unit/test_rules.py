"""The protocol's rules and the tests that name them: neither without the other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "shared" / "PROTOCOL.md"


def rules_stated() -> list[str]:
    """R1, R2, ... as the protocol states them, each in its section: bold, at the start of a paragraph."""
    stated = re.findall(r"\n\n\*\*(R[1-9][0-9]*)\*\* ", PROTOCOL.read_text("utf-8"))
    return sorted(stated, key=lambda rule: int(rule[1:]))


def rules_tested() -> dict[str, set[str]]:
    """Rule -> the test files that name it with `@pytest.mark.rule("R7")`."""
    found: dict[str, set[str]] = {}
    # As text: CPython 3.11 now and then fails to parse while a collection of garbage parses, too (gh-106905).
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for named in re.findall(r"^[^#\"\n]*\bmark\.rule\(([^)]*)\)", path.read_text("utf-8"), re.MULTILINE):
            assert re.fullmatch(r'("\w+"(, *)?)+', named), f"{path}: name the rule in plain words"
            for rule in re.findall(r"\w+", named):
                found.setdefault(rule, set()).add(path.name)
    return found


def test_every_rule_has_a_test() -> None:
    """A rule nobody checks is a wish."""
    tested = rules_tested()
    assert [rule for rule in rules_stated() if rule not in tested] == []


def test_every_mark_names_a_rule() -> None:
    """A mark for a rule that was renumbered or removed misleads."""
    stated = set(rules_stated())
    assert {rule: files for rule, files in rules_tested().items() if rule not in stated} == {}


def test_rules_are_numbered_without_gaps() -> None:
    """R1, R2, R3, each once."""
    assert [f"R{n + 1}" for n in range(len(rules_stated()))] == rules_stated()
    assert rules_stated()
