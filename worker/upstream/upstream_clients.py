"""Owns the upstreams of one worker process: a client for each, and the choice between them.

The API chooses by the same rule from the same settings, so only the name that a caller gave has to be stored. If the
operator moves a model while a request waits, the request goes to the model's new upstream.
"""

from collections.abc import Mapping
from typing import Any, Self

from outlive.shared.errors import ModelNotFound, UpstreamRefused
from outlive.shared.settings import Settings
from outlive.shared.upstream_keys import key_of
from outlive.shared.upstreams import NAME, chosen
from outlive.shared.upstreams import Upstreams as Named
from outlive.worker.upstream.chat_client import ChatUpstream, connect_upstream


class Upstreams:
    """All of them, open until `aclose`."""

    def __init__(self, named: Named, opened: Mapping[str, ChatUpstream]) -> None:
        self._named = named
        self._opened = opened

    @classmethod
    def connect(cls, settings: Settings, environ: Mapping[str, str]) -> Self:
        """A client for each; nothing is sent yet. Raises `SettingsError` when a key is not where it should be."""
        keys = {name: key_of(name, upstream, environ) for name, upstream in settings.providers.items()}
        opened = {}
        for name, upstream in settings.providers.items():
            at_once = upstream.at_once or settings.slots
            client = connect_upstream(upstream.base_url, keys[name], connections=at_once)
            max_tokens = upstream.max_output_tokens or settings.max_output_tokens
            opened[name] = ChatUpstream(name, client, at_once=at_once, max_output_tokens=max_tokens)
        return cls(settings.providers, opened)

    def of(self, request: Mapping[str, Any]) -> ChatUpstream:
        """The upstream for this request. Raises `UpstreamRefused` when the settings here do not know its model: the
        API that took the request has others."""
        try:
            return self._opened[chosen(self._named, str(request.get("model", "")), request.get(NAME))]
        except ModelNotFound as error:
            raise UpstreamRefused(ModelNotFound.code, error.message) from error

    async def aclose(self) -> None:
        for upstream in self._opened.values():
            await upstream.aclose()
