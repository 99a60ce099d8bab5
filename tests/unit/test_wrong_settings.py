"""Every documented variable with a wrong value: each command refuses it at once, in one sentence, with exit code 2."""

from collections.abc import Mapping
from typing import Final

import pytest

from outlive import cli
from outlive.shared.errors import SettingsError
from outlive.shared.settings import PREFIX, Settings, load
from tests.unit.test_settings_table import PAGE

COMMANDS: Final = ("api", "worker", "doctor", "up")
SECRET: Final = "canary-7f2a"
OF_A_TYPE: Final = {"float": "soon", "int": "many", "bool": "perhaps"}
"""Wrong for every setting of this type."""
OF_A_SETTING: Final = {
    "redis_url": f"sqlite://user:{SECRET}@host/x",
    "log_url": f"redis://user:{SECRET}@host:port/0",
    "key_prefix": "{x}",
    "log_format": "xml",
    "tools": "my-tools.py",
    "signing_keys": f"k1:{SECRET}",
    "jwt_issuer": " https://login.example.com/",
    "jwt_audience": " ",
    "jwt_jwks_url": "login.example.com/keys",
    "jwt_tenant_claim": "sub ",
    "proxies": "everything",
    "cors_origins": "*",
    "on_disconnect": "stop",
    "upstreams": f'{{"one": {{"key": "{SECRET}"}}}}',
    "openai_base_url": f"http://user:{SECRET}@localhost:8000/v1",
    "openai_api_key": f"{SECRET}\n{SECRET}",
}

BASE_URLS: Final = {
    "no scheme": "localhost:8000/v1",
    "an address without a scheme": "127.0.0.1:8000/v1",
    "another scheme": "ftp://localhost/v1",
    "quotes": '"http://localhost:8000/v1"',
    "single quotes": "'http://localhost:8000/v1'",
    "a query": "http://localhost:8000/v1?api-version=2024-10-21",
    "a fragment": "http://localhost:8000/v1#x",
    "a login": "http://user:password@localhost:8000/v1",
    "the whole path": "http://localhost:8000/v1/chat/completions",
    "the whole path and a slash": "http://localhost:8000/v1/chat/completions/",
    "no host": "http:///v1",
    "a port that is a word": "http://localhost:port/v1",
    "a port beyond all ports": "http://localhost:80000/v1",
    "an open bracket": "http://[::1/v1",
    "a space in the host": "http://local host/v1",
    "a line break": "http://localhost:8000\n/v1",
}


def wrong_values() -> dict[str, str]:
    """Variable -> a wrong value, for every setting there is."""
    values = {}
    for field, info in Settings.model_fields.items():
        kind = str(info.annotation)
        by_type = next((value for name, value in OF_A_TYPE.items() if name in kind), None)
        value = OF_A_SETTING.get(field, by_type)
        assert value is not None, f"OF_A_SETTING needs a wrong value for {field}"
        values[str(info.validation_alias or PREFIX + field.upper())] = value
    return values


WRONG: Final = wrong_values()


def test_every_documented_variable_has_its_wrong_value_here() -> None:
    """Those of the page's table, and the provider's two."""
    documented = {line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    assert documented | {"OPENAI_BASE_URL", "OPENAI_API_KEY"} == set(WRONG)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("variable", WRONG)
def test_a_wrong_value_is_refused_by_every_command(
    variable: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the name of the variable and without its secrets; nothing is started."""
    monkeypatch.setenv(variable, WRONG[variable])
    check_refused(command, variable, capsys)


@pytest.mark.parametrize("url", BASE_URLS.values(), ids=BASE_URLS)
def test_a_base_url_that_people_get_wrong_is_refused(url: str) -> None:
    """With what to write instead, as in OUTLIVE_UPSTREAMS; a login is not repeated."""
    with pytest.raises(SettingsError) as refused:
        load({"OPENAI_BASE_URL": url})
    check_sentence(refused.value.message, "OPENAI_BASE_URL")
    assert "password" not in refused.value.message
    with pytest.raises(SettingsError, match=r"^OUTLIVE_UPSTREAMS\.one\.base_url: "):
        load({"OUTLIVE_UPSTREAMS": upstreams(url)})


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("", None),
        (" ", None),
        ("http://localhost:8000/v1 ", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1\n", "http://localhost:8000/v1"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/"),
        ("HTTP://LOCALHOST/v1", "HTTP://LOCALHOST/v1"),
        ("https://[::1]:8000/v1", "https://[::1]:8000/v1"),
    ],
)
def test_a_base_url_that_works_is_accepted(url: str, read: str | None) -> None:
    """Compose files set variables to nothing, and files of settings end lines with spaces."""
    settings = load({"OPENAI_BASE_URL": url})
    assert settings.openai_base_url == read
    assert settings.providers["default"].base_url == read


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"OUTLIVE_DEADLINE_S": "7200"}, "OUTLIVE_MAX_DEADLINE_S"),
        ({"OUTLIVE_JWT_ISSUER": "https://x/"}, "OUTLIVE_JWT_AUDIENCE"),
        ({"OUTLIVE_JWT_ISSUER": "login", "OUTLIVE_JWT_AUDIENCE": "a"}, "OUTLIVE_JWT_JWKS_URL"),
        ({"OUTLIVE_UPSTREAMS": '{"a": {"models": ["*"]}}', "OPENAI_BASE_URL": "http://x/v1"}, "OPENAI_BASE_URL"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_settings_that_do_not_go_together_are_refused_by_every_command(
    environ: Mapping[str, str],
    word: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each is right alone."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    check_refused(command, word, capsys, starts=False)


def upstreams(url: str) -> str:
    """OUTLIVE_UPSTREAMS with one upstream at this address."""
    text = url.replace("\n", "\\n").replace('"', '\\"')
    return f'{{"one": {{"base_url": "{text}", "models": ["*"]}}}}'


def check_refused(command: str, word: str, capsys: pytest.CaptureFixture[str], *, starts: bool = True) -> None:
    """Check that this command, in this process, refuses the environment."""
    with pytest.raises(SystemExit) as ended:
        cli.main([command])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    sentence = printed.err.removesuffix("\n")
    assert sentence.startswith(f"outlive {command}: ")
    check_sentence(sentence.removeprefix(f"outlive {command}: "), word, starts=starts)


def check_sentence(sentence: str, word: str, *, starts: bool = True) -> None:
    """Check that it is one sentence on one line about this variable."""
    assert sentence.startswith(word) if starts else word in sentence
    assert sentence.endswith(".")
    assert not sentence.endswith("..")
    assert "\n" not in sentence
    assert SECRET not in sentence
    assert "pydantic" not in sentence
