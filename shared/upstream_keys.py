"""Owns the look for an upstream's key, where the operator said it is.

For the worker and the doctor; the API never asks. Read once, at start: a key that changes needs a new
process, as every setting does.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from outlive.shared.errors import SettingsError
from outlive.shared.upstreams import Upstream


def key_of(name: str, upstream: Upstream, environ: Mapping[str, str]) -> SecretStr | None:
    """The key, or None where it is asked without one. Raises `SettingsError`, which names the upstream."""
    if upstream.key_env is not None:
        key, place = environ.get(upstream.key_env, ""), f"the variable {upstream.key_env}"
    elif upstream.key_file is not None:
        key, place = _read(name, upstream.key_file), f"the file {upstream.key_file}"
    else:
        return None
    if not (key := key.strip()).isprintable() or not key.isascii():
        raise SettingsError(f"The key of the upstream `{name}` in {place} holds what no header can.")
    if not key:
        raise SettingsError(f"The upstream `{name}` has no key: {place} is empty, or not there.")
    return SecretStr(key)


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"The key of the upstream `{name}` cannot be read from {path}: {why}.") from error
