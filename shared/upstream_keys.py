"""Owns reading an upstream's key from the variable or file that the operator named.

For the worker and the doctor; the API needs no key. A file is read again when it changes, so a rotated key needs no
restart.
"""

from collections.abc import Callable, Mapping

from outlive.shared.errors import SettingsError
from outlive.shared.stored_values import StoredFile
from outlive.shared.upstreams import Upstream

CurrentKey = Callable[[], str | None]
"""The key as it is now; None for an upstream without one. Raises `SettingsError`."""


def key_of(name: str, upstream: Upstream, environ: Mapping[str, str]) -> CurrentKey:
    """Where the key of this upstream comes from, read once now. Raises `SettingsError`, which names the upstream."""
    if upstream.key_env is not None:
        key = _checked(name, environ.get(upstream.key_env, ""), f"the variable {upstream.key_env}")
        return lambda: key
    if upstream.key_file is None:
        return lambda: None
    path, file = upstream.key_file, StoredFile(upstream.key_file)

    def current() -> str:
        try:
            return _checked(name, file.read(), f"the file {path}")
        except SettingsError as error:
            raise SettingsError(f"The key of the upstream `{name}` is not there: {error.message}") from error

    current()
    return current


def _checked(name: str, key: str, source: str) -> str:
    if not (key := key.strip()).isprintable() or not key.isascii():
        raise SettingsError(
            f"The key of the upstream `{name}` in {source} holds characters that an HTTP header cannot carry; "
            "write the key alone, on one line."
        )
    if not key:
        raise SettingsError(f"The upstream `{name}` has no key: {source} is missing or empty; put the key there.")
    return key
