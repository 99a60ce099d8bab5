"""Owns the identity of callers, and the count of their requests.

Asked once per request or connection, never per event. Knows nothing of HTTP; `http/callers.py` reads the
credential from a request.
"""

from typing import Final

from outlive.api.auth.credentials import Caller, Credentials
from outlive.api.limits.admission import Admission
from outlive.shared.errors import Unauthenticated

DEFAULT_TENANT: Final = "default"
"""The owner of everything on a server whose callers need not authenticate."""


class Authenticator:
    """One per process."""

    def __init__(self, credentials: Credentials | None, admission: Admission) -> None:
        """Without `credentials`, everybody is the default tenant."""
        self._credentials = credentials
        self._admission = admission

    async def identify(self, credential: str | None) -> Caller:
        """The sender of this credential. Raises `Unauthenticated`, `LogUnavailable` and `IssuerUnavailable`."""
        if self._credentials is None:
            return Caller(DEFAULT_TENANT)
        if credential is None:
            raise Unauthenticated
        return await self._credentials.caller(credential)

    async def count_request(self, caller: Caller) -> dict[str, str]:
        """Count one request, and return its `RateLimit` headers. Requests with a generation's token use up the
        limit of that generation's tokens, not the tenant's. Raises `TooManyRequests` and `LogUnavailable`."""
        return await self._admission.count_request(caller.generation_id or caller.tenant)
