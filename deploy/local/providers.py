"""Owns what the welcome says of the providers: their addresses, and the models that they list when asked once.

Never fails for what a provider does: Outlive is up without its models, too.
"""

import asyncio
import importlib
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from outlive.shared.errors import SettingsError
from outlive.shared.settings import load
from outlive.shared.upstreams import OPENAI_URL

_CLIENT: Final = "outlive.worker.upstream.upstream_clients"
_SHOWN: Final = 3
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, as a person knows it."""

    name: str
    address: str
    models: tuple[str, ...] = ()
    fault: str = ""
    """Why its models are not known; empty if it was not asked, or did not answer yet."""

    def line(self) -> str:
        """Its address, and what it serves."""
        if self.fault:
            return f"{self.address} (lists no models: {self.fault.rstrip('.')})"
        if not self.models:
            return self.address
        more = len(self.models) - _SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return f"{self.address} ({', '.join(self.models[:_SHOWN])}{rest})"


def named(environ: Mapping[str, str]) -> list[Provider]:
    """Those of the settings, not asked yet: only the models that the settings name whole are known."""
    return [
        Provider(name, each.base_url or OPENAI_URL, tuple(model for model in each.models if not _PATTERN & set(model)))
        for name, each in load(environ).providers.items()
    ]


async def asked(environ: Mapping[str, str], within_s: float) -> list[Provider]:
    """Each was asked for its models, all at the same time, as a worker would ask it."""
    # Importing the client takes a second, in which the loop must go on.
    await asyncio.to_thread(importlib.import_module, _CLIENT)
    return await asyncio.gather(*(_asked(each, environ, within_s) for each in named(environ)))


def lines(providers: list[Provider]) -> Iterator[str]:
    """One line for each; several are told apart by their names."""
    for each in providers:
        yield each.line() if len(providers) == 1 else f"{each.name}: {each.line()}"


async def _asked(provider: Provider, environ: Mapping[str, str], within_s: float) -> Provider:
    from outlive.worker.upstream.model_list import list_models  # noqa: PLC0415 - see `asked`
    from outlive.worker.upstream.upstream_clients import connect_one  # noqa: PLC0415

    settings = load(environ)
    try:
        client = connect_one(provider.name, settings, environ)
    except SettingsError as error:
        return Provider(provider.name, provider.address, provider.models, error.message)
    async with aclosing(client):
        listed = await list_models(client, within_s=within_s)
    serves = settings.providers[provider.name].serves
    models = tuple(model for model in listed.names if serves(model)) or provider.models
    return Provider(provider.name, provider.address, models, listed.fault)
