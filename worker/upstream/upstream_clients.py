"""Owns the upstreams of one worker process: a client for each, and which of them a request goes to.

The worker chooses by the same rule as the API, from the same settings, so the log stores nothing of the choice but the
name that a caller gave. A request that waited while the operator moved its model goes where the model is now.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from outlive.shared.errors import ModelNotFound, SettingsError, UpstreamRefused
from outlive.shared.settings import Settings
from outlive.shared.stored_values import StoredValue
from outlive.shared.upstream_keys import key_of
from outlive.shared.upstreams import NAME, Upstream, candidates
from outlive.shared.upstreams import Upstreams as Named
from outlive.worker.upstream.chat_client import Address, ChatUpstream
from outlive.worker.upstream.request_shape import RequestShape


class Upstreams:
    """All of them, open until `aclose`."""

    def __init__(self, named: Named, opened: Mapping[str, ChatUpstream]) -> None:
        self._named = named
        self._opened = opened

    @classmethod
    def connect(cls, settings: Settings, environ: Mapping[str, str]) -> Self:
        """One client for each; no connection is made yet. Raises `SettingsError` for a key or a value that is not where
        the settings say."""
        named = settings.providers
        addresses = {name: _address(name, upstream, settings, environ) for name, upstream in named.items()}
        return cls(named, {name: _client(name, named[name], addresses[name], settings) for name in named})

    def for_request(self, request: Mapping[str, Any]) -> Sequence[ChatUpstream]:
        """The upstreams to ask, in order. Raises `UpstreamRefused` where the settings of the API that took the request
        differ from ours."""
        try:
            names = candidates(self._named, str(request.get("model", "")), request.get(NAME))
        except ModelNotFound as error:
            raise UpstreamRefused(ModelNotFound.code, error.message) from error
        return [self._opened[name] for name in names]

    async def aclose(self) -> None:
        for upstream in self._opened.values():
            await upstream.aclose()


def connect_one(name: str, settings: Settings, environ: Mapping[str, str]) -> ChatUpstream:
    """The client of one upstream alone, as a worker has it. Raises `SettingsError`."""
    upstream = settings.providers[name]
    return _client(name, upstream, _address(name, upstream, settings, environ), settings)


def _address(name: str, upstream: Upstream, settings: Settings, environ: Mapping[str, str]) -> Address:
    return Address(
        base_url=upstream.base_url,
        key=key_of(name, upstream, environ),
        headers={word: _value(name, "header", word, text, environ) for word, text in upstream.headers.items()},
        query={word: _value(name, "query", word, text, environ) for word, text in upstream.query.items()},
        connections=upstream.at_once or settings.slots,
        connect_s=upstream.connect_s,
    )


def _value(upstream: str, kind: str, word: str, text: str, environ: Mapping[str, str]) -> Callable[[], str]:
    """Where a value of a header or of the query comes from, read once now. Raises `SettingsError`, which names it."""
    about = f"The {kind} `{word}` of the upstream `{upstream}`"
    try:
        stored = StoredValue(text, environ)
    except SettingsError as error:
        raise SettingsError(f"{about}: {error.message}") from error

    def current() -> str:
        value = stored.current().strip()
        if not value.isascii() or not value.isprintable():
            raise SettingsError(f"{about} holds characters that a request cannot carry; write it on one line.")
        return value

    current()
    return current


def _client(name: str, upstream: Upstream, address: Address, settings: Settings) -> ChatUpstream:
    shape = RequestShape(
        frozenset(upstream.drop), upstream.rename, dict(upstream.roles), has_stream_options=upstream.stream_options
    )
    return ChatUpstream(
        name,
        address,
        shape,
        first_token_s=upstream.first_token_s or settings.first_token_s,
        between_tokens_s=upstream.between_tokens_s or settings.between_tokens_s,
        at_once=address.connections,
        max_output_tokens=upstream.max_output_tokens or settings.max_output_tokens,
    )
