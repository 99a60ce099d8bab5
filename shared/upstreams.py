"""Owns the providers the operator has named: where each is, what it serves, within which limits.

Pure. Keys are not here, only where they are found: the API knows which model is served and must not
know a key (`upstream_keys.py`). Callers choose among these by model or by name, and nothing a
caller sends is ever an address.
"""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from outlive.shared.errors import ModelNotFound

NAME: Final = "upstream"
"""The member of a request, and of a stored one, that names an upstream. No provider is sent it."""

_NOT_THAT_ONE: Final = "There is no upstream of this name here, or it does not serve this model."

UpstreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Upstream(BaseModel):
    """One provider, as the operator describes it. A word that is unknown here is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str | None = None
    """OpenAI's own when not set."""
    key_env: str | None = None
    """The variable that holds the key. Not the key: what is set here is shown, compared and logged."""
    key_file: _Text | None = None
    """Or the file that does. With neither it is asked without one."""
    models: Annotated[tuple[_Text, ...], Field(min_length=1)]
    """Patterns (`*`, `?`, `[abc]`) of the models it serves, in exactly these letters."""
    at_once: Annotated[int, Field(gt=0)] | None = None
    """Questions one worker process asks it at a time; others wait, in their slots. As many as slots when not set."""
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    """In place of `OUTLIVE_MAX_OUTPUT_TOKENS`."""

    def serves(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must hold neither a password nor anything behind its path")
        return url

    @field_validator("key_env")
    @classmethod
    def _is_variable(cls, name: str | None) -> str | None:
        # Whoever puts the key itself here is told before it is shown anywhere.
        if name is not None and not _VARIABLE.fullmatch(name):
            raise ValueError("must be the name of an environment variable, not the key")
        return name

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("a key is in key_env or in key_file, not in both")
        return self


Upstreams = Mapping[str, Upstream]
"""In the order in which they are asked whether they serve a model."""


def chosen(upstreams: Upstreams, model: str, name: str | None = None) -> str:
    """Which of them a request for this model goes to: the one it names, else the first that serves the
    model. Raises `ModelNotFound`."""
    if name is not None:
        if name in upstreams and upstreams[name].serves(model):
            return name
        raise ModelNotFound(_NOT_THAT_ONE, param=NAME)
    for each, upstream in upstreams.items():
        if upstream.serves(model):
            return each
    raise ModelNotFound(param="model")


def parsed(text: str) -> dict[str, Any]:
    """The setting's JSON, a name before each of them. Raises ValueError without repeating any of it."""
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON at line {error.lineno}, column {error.colno}") from None
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object: a name, then what is behind it")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has `{twice}` twice")
    return found
