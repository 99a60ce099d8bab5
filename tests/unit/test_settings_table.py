"""The table in docs/settings.md lists the settings that the code has."""

from pathlib import Path

from outlive.shared.settings import PREFIX, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def settings_table() -> str:
    """The table that docs/settings.md must contain."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if not field.validation_alias:
            meaning = " ".join((field.description or "").split())
            rows.append(f"| `{PREFIX}{name.upper()}` | `{field.default}` | {meaning} |")
    return "\n".join(rows)


def test_the_page_lists_every_setting_with_its_default() -> None:
    """`python -m tests.unit.test_settings_table` prints the table to paste."""
    assert settings_table() in PAGE.read_text()


if __name__ == "__main__":
    print(settings_table())
