"""Owns the ids under which OpenAI's clients know a generation: its hex digits behind their prefixes.

Pure. Some clients decide by the prefix what an id belongs to. Every wire accepts all of these ids; response
headers have the generation's own id.
"""

from typing import Final

from outlive.shared.errors import GenerationNotFound
from outlive.shared.model.generation import ID_PREFIX, is_id

CHAT: Final = "chatcmpl-"
RESPONSE: Final = "resp_"


def named(prefix: str, generation_id: str) -> str:
    return prefix + generation_id.removeprefix(ID_PREFIX)


def plain(name: str) -> str:
    """The generation's own id; a name that is not one of ours comes back unchanged."""
    for prefix in (CHAT, RESPONSE):
        if name.startswith(prefix):
            name = ID_PREFIX + name.removeprefix(prefix)
    return name


def generation_of(name: str) -> str:
    """The generation's own id. Raises `GenerationNotFound` if it cannot be one."""
    generation_id = plain(name)
    if not is_id(generation_id):
        raise GenerationNotFound
    return generation_id


def headers_of(generation_id: str) -> dict[str, str]:
    """Headers that say where the generation is. The SDKs show `X-Request-Id` as `_request_id`."""
    own = f"/v1/generations/{generation_id}"
    return {
        "Location": own,
        "X-Request-Id": generation_id,
        "X-Outlive-Generation": generation_id,
        "X-Outlive-Events": f"{own}/events",
    }
