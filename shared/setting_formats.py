"""Owns the formats of settings that are text with a form of its own: lists of networks and of keys, names, one key.

Pure. Each check returns the value as it was, and raises `ValueError`, whose message goes behind the name of the
setting and never repeats a secret.
"""

import base64
import binascii
from ipaddress import ip_network
from typing import Final

from pydantic import SecretStr

_MIN_SECRET_BYTES: Final = 32
_NO_SIGNING_KEYS: Final = (
    "is not a list of `<id>:<secret>`, separated by commas, with secrets of at least 32 bytes in base64url; "
    "`outlive keys signing-key` prints a valid entry"
)


def name(text: str) -> str:
    """A word that is compared with one in a token. White space around it is a mistake in a file of settings."""
    if text != text.strip() or not text.isprintable():
        raise ValueError("has white space around it, or a control character in it; write it without")
    return text


def networks(text: str) -> str:
    """IP addresses and networks, separated by commas."""
    for part in text.split(","):
        try:
            if part.strip():
                ip_network(part.strip())
        except ValueError as error:
            raise ValueError(
                f"`{part.strip()}` is not an IP address or a network ({error}); write addresses or networks such as "
                "10.0.0.0/8, separated by commas"
            ) from None
    return text


def signing_keys(keys: SecretStr) -> SecretStr:
    """Pairs of an id and a secret."""
    for part in keys.get_secret_value().split(","):
        kid, _, secret = part.strip().partition(":")
        try:
            size = len(base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            raise ValueError(_NO_SIGNING_KEYS) from None
        if not kid or size < _MIN_SECRET_BYTES:
            raise ValueError(_NO_SIGNING_KEYS)
    return keys


def key(secret: SecretStr) -> SecretStr:
    """A key that an HTTP header can carry. A line break behind it is left to who reads it."""
    text = secret.get_secret_value().strip()
    if not text.isascii() or not text.isprintable():
        raise ValueError("holds characters that an HTTP header cannot carry; write the key alone, on one line")
    return secret
