"""Owns the names OpenAI's clients know a generation by: its own hex digits behind their prefixes.

Some clients look at a prefix to tell what an id is of. Any of these names is taken for the
generation, on each wire; headers say its own. Pure.
"""

from typing import Final

from outlive.shared.errors import GenerationNotFound
from outlive.shared.model.generation import ID_PREFIX, is_id

CHAT: Final = "chatcmpl-"
RESPONSE: Final = "resp_"


def named(prefix: str, generation_id: str) -> str:
    return prefix + generation_id.removeprefix(ID_PREFIX)


def plain(name: str) -> str:
    """The generation's own id, if this is a name of one at all."""
    for prefix in (CHAT, RESPONSE):
        if name.startswith(prefix):
            name = ID_PREFIX + name.removeprefix(prefix)
    return name


def generation_of(name: str) -> str:
    """The generation's own id. Raises `GenerationNotFound` when this can be none."""
    generation_id = plain(name)
    if not is_id(generation_id):
        raise GenerationNotFound
    return generation_id


def headers_of(generation_id: str) -> dict[str, str]:
    """Where the generation is. The SDKs show `X-Request-Id` as the `_request_id` of what they return."""
    own = f"/v1/generations/{generation_id}"
    return {
        "Location": own,
        "X-Request-Id": generation_id,
        "X-Outlive-Generation": generation_id,
        "X-Outlive-Events": f"{own}/events",
    }
