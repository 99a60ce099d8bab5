"""Named upstreams: read strictly, chosen by model or name, keys by reference."""

import json
from pathlib import Path
from typing import Any

import pytest

from outlive.shared.errors import ModelNotFound, SettingsError
from outlive.shared.settings import load
from outlive.shared.upstream_keys import key_of
from outlive.shared.upstreams import Upstream, chosen

VLLM: dict[str, Any] = {"base_url": "http://vllm:8000/v1", "models": ["llama-*"]}
MANY = load({
    "OUTLIVE_UPSTREAMS": json.dumps({
        "vllm": VLLM,
        "openai": {"key_env": "OPENAI_API_KEY", "models": ["gpt-*", "o[13]"], "at_once": 3, "max_output_tokens": 9},
        "rest": {"base_url": "https://rest/v1", "key_file": "/run/key", "models": ["*"]},
    })
}).providers  # fmt: skip


@pytest.mark.rule("R64")
@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("llama-3", "vllm"), ("gpt-4o", "openai"), ("o1", "openai"), ("o2", "rest"), ("GPT-4o", "rest"),
        ("my-llama-3", "rest"), ("http://vllm:8000/v1", "rest"),
    ],
)  # fmt: skip
def test_the_first_that_serves_a_model_is_asked(model: str, name: str) -> None:
    """In the order they are written in, and in exactly these letters."""
    assert chosen(MANY, model) == name


@pytest.mark.rule("R64")
def test_who_is_named_is_asked_if_it_serves_the_model() -> None:
    """A name opens no model its upstream does not serve, and nothing else is a name."""
    assert chosen(MANY, "gpt-4o", "rest") == "rest"
    for model, name in [("gpt-4o", "vllm"), ("gpt-4o", "nobody"), ("llama-3", "http://vllm:8000/v1"), ("llama-3", "")]:
        with pytest.raises(ModelNotFound):
            chosen(MANY, model, name)


def test_what_nobody_serves_is_nobodys() -> None:
    """There is no last resort but the one the operator names."""
    only = load({"OUTLIVE_UPSTREAMS": json.dumps({"vllm": VLLM})}).providers
    with pytest.raises(ModelNotFound):
        chosen(only, "gpt-4o")


def test_without_names_there_is_one_that_serves_all() -> None:
    """By the openai SDK's own two variables."""
    (name,) = load({}).providers
    one = load({"OPENAI_BASE_URL": "http://x/v1", "OPENAI_API_KEY": "sk-1"}).providers[name]
    assert (name, one.base_url, one.key_env, one.models) == ("default", "http://x/v1", "OPENAI_API_KEY", ("*",))
    assert load({"OUTLIVE_UPSTREAMS": ""}).providers == load({}).providers


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ('{"a": ', r"^OUTLIVE_UPSTREAMS: is not JSON at line 1, column 7;"),
        ("[]", r"^OUTLIVE_UPSTREAMS: is not a JSON object"),
        ({"a": {}}, r"^OUTLIVE_UPSTREAMS\.a\.models: Field required"),
        ({"a": 3}, r"^OUTLIVE_UPSTREAMS\.a: "),
        ({"a": {"models": []}}, r"^OUTLIVE_UPSTREAMS\.a\.models: "),
        ({"a": {"models": "gpt-*"}}, r"^OUTLIVE_UPSTREAMS\.a\.models: "),
        ({"a b": {"models": ["*"]}}, r"^OUTLIVE_UPSTREAMS\.a b: "),
        ({"a": VLLM, "b": VLLM | {"at_once": 0}}, r"^OUTLIVE_UPSTREAMS\.b\.at_once: "),
        ({"a": VLLM | {"base_url": "vllm:8000"}}, r"^OUTLIVE_UPSTREAMS\.a\.base_url: is not an http"),
        ({"a": VLLM | {"base_url": "file:///etc/passwd"}}, r"^OUTLIVE_UPSTREAMS\.a\.base_url: is not an http"),
        ({"a": VLLM | {"base_url": "http://[vllm"}}, r"^OUTLIVE_UPSTREAMS\.a\.base_url: "),
        ({"a": VLLM | {"base_url": "http://me:canary@x/v1"}}, r"^OUTLIVE_UPSTREAMS\.a\.base_url: holds a login"),
        ({"a": VLLM | {"key": "sk-canary"}}, r"^OUTLIVE_UPSTREAMS\.a\.key: "),
        ({"a": VLLM | {"key_env": "sk-canary"}}, r"^OUTLIVE_UPSTREAMS\.a\.key_env: .*not the key"),
        ({"a": VLLM | {"key_env": "K", "key_file": "/k"}}, r"^OUTLIVE_UPSTREAMS\.a: both key_env and key_file"),
        ('{"a": {"models": ["*"]}, "a": {"models": ["x"]}}', r"^OUTLIVE_UPSTREAMS: has the name `a` twice"),
    ],
)
def test_a_mistake_is_named_by_its_entry(told: object, said: str) -> None:
    """And no value is repeated: it may be a key that was put in the wrong place."""
    with pytest.raises(SettingsError, match=said) as refused:
        load({"OUTLIVE_UPSTREAMS": told if isinstance(told, str) else json.dumps(told)})
    assert "canary" not in str(refused.value)


def test_a_url_that_would_mean_nothing_is_refused() -> None:
    """The short form and the long one contradict each other; the key's variable may serve both."""
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL"):
        load({"OUTLIVE_UPSTREAMS": json.dumps({"vllm": VLLM}), "OPENAI_BASE_URL": "http://x/v1"})
    assert load({"OUTLIVE_UPSTREAMS": json.dumps({"vllm": VLLM}), "OPENAI_API_KEY": "sk-1"}).upstreams


def test_a_key_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    """In a variable, in a file with its line end, or there is none."""
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    keys = [
        key_of("a", Upstream(models=("*",), key_env="KEY"), {"KEY": "sk-env"}),
        key_of("a", Upstream(models=("*",), key_file=str(file)), {}),
        key_of("a", Upstream(models=("*",)), {"OPENAI_API_KEY": "sk-other"}),
    ]
    assert [key() for key in keys] == ["sk-env", "sk-file", None]


@pytest.mark.parametrize("held", [None, b"", b" \n", b"sk\nsk", "sk-\u00fc".encode(), b"\xff"])
def test_a_key_that_is_not_there_is_said(tmp_path: Path, held: bytes | None) -> None:
    """By the upstream's name and the place, before anybody is asked; what is there instead is not repeated."""
    file = tmp_path / "key"
    if held is not None:
        file.write_bytes(held)
    with pytest.raises(SettingsError, match=f"`rest`.*{file}"):
        key_of("rest", Upstream(models=("*",), key_file=str(file)), {})
    with pytest.raises(SettingsError, match=r"`rest`.*KEY"):
        key_of("rest", Upstream(models=("*",), key_env="KEY"), {})
