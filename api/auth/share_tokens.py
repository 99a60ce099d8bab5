"""Owns making tokens for one generation: which rights they have and how long they last.

How a token looks is in `capability.py`. Knows nothing of HTTP.
"""

from typing import Final

from outlive.api.auth.capability import Capability, Rights
from outlive.api.auth.credentials import Credentials
from outlive.api.schemas import Minted, RightsName
from outlive.shared.errors import BadRequest
from outlive.shared.settings import Settings

_NO_AUTH: Final = (
    "This server makes no tokens because OUTLIVE_AUTH is off: everybody who knows an answer's address may "
    "watch and cancel it."
)


def max_expires_s(settings: Settings) -> float:
    """The longest time that any generation can be read. It is also the default: when a token expires, the next
    reconnect of its viewer gets a 401, after which a native EventSource stays closed."""
    return settings.max_deadline_s + settings.max_retention_s


class ShareTokens:
    """One per process."""

    def __init__(self, credentials: Credentials | None, settings: Settings) -> None:
        self._credentials = credentials
        self.max_expires_s = max_expires_s(settings)

    @property
    def are_needed(self) -> bool:
        """Whether callers must authenticate at all."""
        return self._credentials is not None

    def mint(self, generation_id: str, tenant: str, rights: RightsName, expires_s: float | None = None) -> Minted:
        """A token for a generation that is known to be this tenant's. Raises `BadRequest`."""
        if self._credentials is None:
            raise BadRequest(_NO_AUTH)
        if expires_s is not None and expires_s > self.max_expires_s:
            raise BadRequest(
                f"`expires_s` is {expires_s:g}, but this server allows at most {self.max_expires_s:g} seconds.",
                param="expires_s",
            )
        held = Capability(generation_id, tenant, Rights(rights))
        token, expires_at = self._credentials.sign(held, expires_s or self.max_expires_s)
        return Minted(token=token, rights=rights, expires_at=expires_at)
