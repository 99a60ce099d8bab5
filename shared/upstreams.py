"""Owns the providers that the operator named: the address, models and limits of each.

Pure. It does not hold keys, only where they are (`upstream_keys.py`), because the API knows the models and must not
know a key. Callers choose an upstream by model or by name; nothing that a caller sends is ever an address.
"""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from outlive.shared.errors import ModelNotFound

OPENAI_URL: Final = "https://api.openai.com/v1"
"""For an upstream without an address."""

NAME: Final = "upstream"
"""The member of a request, and of a stored one, that names an upstream. No provider gets it."""

FIRST_TOKEN_S: Final = "first_token_s"
BETWEEN_TOKENS_S: Final = "between_tokens_s"
OURS: Final = frozenset({NAME, FIRST_TOKEN_S, BETWEEN_TOKENS_S})
"""Members of a stored request that are for the worker. No provider gets them."""

_NOT_THAT_ONE: Final = (
    "This server has no upstream of this name, or that one does not serve this model; name another, or none."
)

UpstreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_Value = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\r\n\x00]*$")]
_HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Upstream(BaseModel):
    """One provider, as the operator describes it. An unknown member is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str | None = None
    """OpenAI's own address when not set."""
    key_env: str | None = None
    """The variable that holds the key. Not the key itself: settings are shown, compared and logged."""
    key_file: _Text | None = None
    """The file that holds the key. With neither, requests carry no key."""
    models: Annotated[tuple[_Text, ...], Field(min_length=1)]
    """Patterns (`*`, `?`, `[abc]`) of the models it serves; upper and lower case differ."""
    at_once: Annotated[int, Field(gt=0)] | None = None
    """Requests that one worker process sends it at a time; others wait in their slots. When not set, as many as there
    are slots."""
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    """Instead of `OUTLIVE_MAX_OUTPUT_TOKENS`."""
    headers: Mapping[_HeaderName, _Value] = {}
    """Sent with each request. A value is a literal, `${VARIABLE}`, or `file:PATH`, which is read again when it
    changes."""
    query: Mapping[_Text, _Value] = {}
    """Put behind the address of each request, such as Azure's `api-version`. Values as in `headers`."""
    drop: tuple[_Text, ...] = ()
    """Members of a request that this provider refuses."""
    rename: Mapping[_Text, _Text] = {}
    """Members of a request that this provider calls otherwise: our name, then its name."""
    roles: Mapping[_Text, _Text] = {}
    """Roles of messages that this provider calls otherwise, such as `developer`: `system`."""
    stream_options: bool = True
    """Whether to ask for usage by `stream_options`. A provider that refuses it by name is asked without it anyway."""
    first_token_s: _Seconds | None = None
    """Instead of `OUTLIVE_FIRST_TOKEN_S`."""
    between_tokens_s: _Seconds | None = None
    """Instead of `OUTLIVE_BETWEEN_TOKENS_S`."""
    connect_s: _Seconds = 10.0
    """How long to wait for a connection, TLS included."""
    failover: bool = False
    """Whether the next upstream that serves the model is asked when this one cannot be reached, or refuses with 429 or
    5xx before the first piece of an answer."""

    def serves(self, model: str) -> bool:
        """Whether one of `models` matches."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        url = url.strip()
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("is not a URL; write http:// or https://, a host, and the path up to /v1") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError("is not an http:// or https:// URL with a host; write one, without quotes")
        if not url.isprintable() or " " in url:
            raise ValueError("holds a space or a control character; write the URL without it")
        if parts.username is not None:
            raise ValueError("holds a login; put it into `headers` of an upstream in OUTLIVE_UPSTREAMS")
        if parts.query or parts.fragment:
            raise ValueError(
                "has a query or fragment behind its path; put it into `query` of an upstream in OUTLIVE_UPSTREAMS"
            )
        if parts.path.rstrip("/").endswith("/chat/completions"):
            raise ValueError("ends with /chat/completions; write it without that")
        return url

    @field_validator("key_env")
    @classmethod
    def _is_variable(cls, name: str | None) -> str | None:
        # An operator who puts the key itself here must learn it before anything shows the key.
        if name is not None and not _VARIABLE.fullmatch(name):
            raise ValueError("is not the name of an environment variable; write the name, not the key")
        return name

    @model_validator(mode="after")
    def _check_one_key_source(self) -> Self:
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("both key_env and key_file are set; set one of them")
        return self


Upstreams = Mapping[str, Upstream]
"""By name. The first that serves a model gets the request."""


def candidates(upstreams: Upstreams, model: str, name: str | None = None) -> list[str]:
    """The upstreams to ask for this model, in order: the chosen one, and behind each that has `failover` the next
    one that serves the model. An upstream that the caller named is asked alone. Raises `ModelNotFound`."""
    first = chosen(upstreams, model, name)
    if name is not None:
        return [first]
    serving = [each for each, upstream in upstreams.items() if upstream.serves(model)]
    last = next((n for n, each in enumerate(serving) if not upstreams[each].failover), len(serving) - 1)
    return serving[: last + 1]


def chosen(upstreams: Upstreams, model: str, name: str | None = None) -> str:
    """The name of the upstream for a request for this model: the one it names, else the first that serves the model.
    Raises `ModelNotFound`."""
    if name is not None:
        if name in upstreams and upstreams[name].serves(model):
            return name
        raise ModelNotFound(_NOT_THAT_ONE, param=NAME)
    for each, upstream in upstreams.items():
        if upstream.serves(model):
            return each
    raise ModelNotFound(param="model")


def parsed(text: str) -> dict[str, Any]:
    """The setting's JSON: an object with a name for each upstream. Raises ValueError, which repeats no value."""
    try:
        by_name = json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON at line {error.lineno}, column {error.colno}; correct it there") from None
    if not isinstance(by_name, dict):
        raise ValueError('is not a JSON object; write {"name": {"models": [...], ...}, ...}')
    return by_name


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has the name `{twice}` twice; keep one of them")
    return members
