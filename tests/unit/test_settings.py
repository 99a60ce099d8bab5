"""Settings: from a mapping alone, strict, one sentence per mistake."""

import pytest
from pydantic import ValidationError

from outlive.shared.errors import SettingsError
from outlive.shared.settings import PREFIX, Settings, load


def test_nothing_set_gives_the_defaults() -> None:
    """An empty environment is a valid one."""
    settings = load({})
    assert settings.redis_url.startswith("redis://127.0.0.1")
    assert settings.lease_s == 10.0
    assert settings.openai_api_key is None


def test_each_setting_is_read_under_its_name() -> None:
    """Prefix and field name in capitals; the provider's two as the SDK spells them."""
    settings = load({
        "OUTLIVE_LEASE_S": "1.5", "OUTLIVE_SLOTS": "7", "OUTLIVE_KEY_PREFIX": "a:b",
        "OPENAI_BASE_URL": "http://x/v1", "OPENAI_API_KEY": "sk-1",
    })  # fmt: skip
    assert (settings.lease_s, settings.slots, settings.key_prefix) == (1.5, 7, "a:b")
    assert settings.openai_base_url == "http://x/v1"
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-1"


def test_the_process_environment_is_not_read_behind_our_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the mapping counts, for the provider's variables as well."""
    for name in ("SLOTS", "LEASE_S", "OUTLIVE_SLOTS", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "3")
    assert load({}) == load({"PATH": "/bin", "SLOTS": "9"})
    assert load({}).slots == 100


def test_a_typo_under_our_prefix_dies_at_start() -> None:
    """It names what it does not know."""
    with pytest.raises(SettingsError, match="OUTLIVE_LEASES_S"):
        load({"OUTLIVE_LEASES_S": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_S", "0"), ("LEASE_S", "-1"), ("LEASE_S", "soon"), ("LEASE_S", "nan"), ("LEASE_S", "inf"),
        ("LEASE_S", ""), ("SLOTS", "0"), ("SLOTS", "1.5"), ("KEY_PREFIX", ""), ("KEY_PREFIX", "{x}"),
        ("KEY_PREFIX", "a b"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(name: str, value: str) -> None:
    """The sentence starts with the variable to mend."""
    with pytest.raises(SettingsError, match=f"^{PREFIX}{name}: .*\\.$"):
        load({PREFIX + name: value})


@pytest.mark.parametrize("names", [("DEADLINE_S", "MAX_DEADLINE_S"), ("RETENTION_S", "MAX_RETENTION_S")])
def test_settings_that_contradict_each_other_are_refused(names: tuple[str, str]) -> None:
    """A default above its own maximum would refuse every request."""
    with pytest.raises(SettingsError, match=names[1]):
        load({PREFIX + names[0]: "11", PREFIX + names[1]: "10"})


def test_an_empty_key_means_none() -> None:
    """Compose files set variables to nothing."""
    assert load({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}).openai_api_key is None


def test_settings_are_frozen_and_hide_the_key() -> None:
    """One value, handed in; safe to print."""
    settings = load({"OPENAI_API_KEY": "sk-canary"})
    assert "sk-canary" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.lease_s = 1.0


def test_every_setting_has_a_default() -> None:
    """Nothing must be set to start."""
    assert not [name for name, field in Settings.model_fields.items() if field.is_required()]
