"""Owns tokens of an issuer (JWT): whose keys are believed, and which tenant a token names.

Only asymmetric algorithms are read: with a symmetric one the issuer's public key, which anybody
has, would sign. Keys are fetched when a token names one that is not known, at most every 30 s
whatever callers send, and again when they are old. Knows nothing of generations.
"""

import asyncio
import logging
import time
from typing import Any, Final

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKClientError, PyJWKSet

from outlive.shared.errors import IssuerUnavailable, Unauthenticated
from outlive.shared.model.generation import is_tenant

log = logging.getLogger(__name__)

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_REQUIRED: Final = ("exp", "iss", "aud")
_LEEWAY_S: Final = 30
"""Clocks of an issuer's and ours differ by this much at most."""

_FETCH_S: Final = 5.0
_COOLDOWN_S: Final = 30.0
_OLD_S: Final = 300.0
"""A key that the issuer has withdrawn is believed for this long at most, while he answers."""


class Issuer:
    """One issuer, and its keys as they were fetched last."""

    def __init__(self, name: str, *, audience: str, jwks_url: str | None, tenant_claim: str) -> None:
        self._name = name
        self._audience = audience
        self._tenant_claim = tenant_claim
        url = jwks_url or f"{name.rstrip('/')}/.well-known/jwks.json"
        # Its own cache is left out: while the issuer is away it forgets, and asks again for every request.
        self._client = PyJWKClient(url, cache_jwk_set=False, timeout=_FETCH_S)
        self._keys: dict[str, PyJWK] = {}
        self._asked_at = -_OLD_S
        self._fetched = False
        self._fetching = asyncio.Lock()

    async def tenant(self, token: str) -> str:
        """Whose token this is. Raises `Unauthenticated` and `IssuerUnavailable`."""
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                _ALGORITHMS,
                audience=self._audience,
                issuer=self._name,
                leeway=_LEEWAY_S,
                options={"require": list(_REQUIRED)},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated from error
        tenant = claims.get(self._tenant_claim)
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise Unauthenticated(f"The token's `{self._tenant_claim}` names no tenant.")
        return tenant

    async def _key(self, kid: object) -> PyJWK:
        if not isinstance(kid, str):
            raise Unauthenticated
        async with self._fetching:
            age_s = time.monotonic() - self._asked_at
            if age_s > _OLD_S or (kid not in self._keys and age_s > _COOLDOWN_S):
                await self._fetch()
        if not self._fetched:
            raise IssuerUnavailable
        key = self._keys.get(kid)
        if key is None:
            raise Unauthenticated
        return key

    async def _fetch(self) -> None:
        """What was fetched before stands while the issuer does not answer."""
        self._asked_at = time.monotonic()
        try:
            # In a thread, because the library fetches by urllib.
            found = PyJWKSet.from_dict(await asyncio.to_thread(self._client.fetch_data))
        except (PyJWKClientError, jwt.PyJWKSetError, OSError, ValueError):
            log.warning("the issuer's keys could not be fetched", exc_info=True)
            return
        self._keys = {key.key_id: key for key in found.keys if key.key_id and key.public_key_use in (None, "sig")}
        self._fetched = True
