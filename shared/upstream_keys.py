"""Owns reading an upstream's key from the variable or file that the operator named.

For the worker and the doctor; the API needs no key. A process reads it once, at start: a new key needs a new process,
as every setting does.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from outlive.shared.errors import SettingsError
from outlive.shared.upstreams import Upstream


def key_of(name: str, upstream: Upstream, environ: Mapping[str, str]) -> SecretStr | None:
    """The key, or None for an upstream without one. Raises `SettingsError`, which names the upstream."""
    if upstream.key_env is not None:
        key, source = environ.get(upstream.key_env, ""), f"the variable {upstream.key_env}"
    elif upstream.key_file is not None:
        key, source = _read(name, upstream.key_file), f"the file {upstream.key_file}"
    else:
        return None
    if not (key := key.strip()).isprintable() or not key.isascii():
        raise SettingsError(
            f"The key of the upstream `{name}` in {source} holds characters that an HTTP header cannot carry; "
            "write the key alone, on one line."
        )
    if not key:
        raise SettingsError(f"The upstream `{name}` has no key: {source} is missing or empty; put the key there.")
    return SecretStr(key)


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(
            f"The key of the upstream `{name}` cannot be read from the file {path}: {reason}; "
            "correct the file or `key_file`."
        ) from error
