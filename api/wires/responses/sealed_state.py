"""Owns the `encrypted_content` of our reasoning items: what the provider wants back with the next request.

Pure. It is sealed only in the sense of OpenAI's field: opaque to clients, which send it back as it came. It holds
nothing that the client was not shown or may not know, and what comes back is bounded and goes to the provider alone.
"""

import base64
import binascii
from typing import Any, Final

from outlive.shared.model.codec import decode_json, encode_json

_PREFIX: Final = "ol1."
_MAX_CHARS: Final = 1_048_576
"""Of what a client sends back; ours are far smaller (`ProviderPart`)."""


def seal(state: dict[str, Any]) -> str:
    """The state as text."""
    return _PREFIX + base64.urlsafe_b64encode(encode_json(state)).decode()


def unseal(text: Any) -> dict[str, Any] | None:
    """The state of a text of ours; None for anything else, such as another server's."""
    if not isinstance(text, str) or not text.startswith(_PREFIX) or len(text) > _MAX_CHARS:
        return None
    try:
        state = decode_json(base64.urlsafe_b64decode(text.removeprefix(_PREFIX)))
    except (ValueError, binascii.Error):
        return None
    return state if isinstance(state, dict) else None
