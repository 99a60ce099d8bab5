"""README's table of settings is what the code has."""

from pathlib import Path

from outlive.shared.settings import PREFIX, Settings

README = Path(__file__).parents[2] / "README.md"


def settings_table() -> str:
    """The table as it must stand in README.md."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if not field.validation_alias:
            meaning = " ".join((field.description or "").split())
            rows.append(f"| `{PREFIX}{name.upper()}` | `{field.default}` | {meaning} |")
    return "\n".join(rows)


def test_readme_lists_every_setting_with_its_default() -> None:
    """`python -m tests.unit.test_readme` prints the table to paste."""
    assert settings_table() in README.read_text()


if __name__ == "__main__":
    print(settings_table())
