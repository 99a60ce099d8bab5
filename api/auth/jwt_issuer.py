"""Owns the tokens of an issuer (JWT): which keys are trusted, and which tenant a token names.

Only asymmetric algorithms are accepted: with a symmetric one, the issuer's public key, which everybody
has, would sign. Keys are fetched again when they are old, and when a token names an unknown one, at most
every 30 s whatever callers send. Knows nothing of generations.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKClientError, PyJWKSet

from outlive.shared.errors import IssuerUnavailable, Unauthenticated
from outlive.shared.model.generation import is_tenant

log = logging.getLogger(__name__)

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_REQUIRED: Final = ("exp", "iss", "aud")
_LEEWAY_S: Final = 30
"""The largest difference that is allowed between the issuer's clock and ours."""

_FETCH_S: Final = 5.0
_MIN_FETCH_INTERVAL_S: Final = 30.0
_OLD_S: Final = 300.0
"""A key that the issuer has withdrawn is trusted no longer than this, as long as the issuer answers."""

FetchKeys = Callable[[], Any]
"""Gets the issuer's key set (JWKS) as a dict. Blocks, so it is called in a thread. Raises
`PyJWKClientError`, `OSError`, `ValueError`."""


def keys_at(url: str) -> FetchKeys:
    """Fetches the key set from this URL."""
    # Without the library's cache, which forgets all keys while the issuer is away, and then asks for each request.
    return PyJWKClient(url, cache_jwk_set=False, timeout=_FETCH_S).fetch_data


def default_jwks_url(issuer: str) -> str:
    return f"{issuer.rstrip('/')}/.well-known/jwks.json"


class Issuer:
    """One issuer, with the keys of the last fetch."""

    def __init__(
        self, name: str, fetch_keys: FetchKeys, *, audience: str, tenant_claim: str, clock: Callable[[], float]
    ) -> None:
        """`clock` is monotonic, in seconds, and says how old keys are; PyJWT compares `exp` and `nbf` itself."""
        self._name = name
        self._fetch_keys = fetch_keys
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._last_fetch_at: float | None = None
        self._has_keys = False
        self._fetching = asyncio.Lock()

    async def tenant(self, token: str) -> str:
        """The tenant a token names. Raises `Unauthenticated` and `IssuerUnavailable`."""
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
            raise Unauthenticated(
                f"The claim `{self._tenant_claim}` of this token must be a tenant's name: 1 to 128 letters, digits "
                "or characters of `_.@|:+=/-`."
            )
        return tenant

    async def _key(self, kid: object) -> PyJWK:
        if not isinstance(kid, str):
            raise Unauthenticated
        async with self._fetching:
            if self._is_fetch_due(kid):
                await self._fetch()
        if not self._has_keys:
            raise IssuerUnavailable
        key = self._keys.get(kid)
        if key is None:
            raise Unauthenticated
        return key

    def _is_fetch_due(self, kid: str) -> bool:
        if self._last_fetch_at is None:
            return True
        age_s = self._clock() - self._last_fetch_at
        return age_s > _OLD_S or (kid not in self._keys and age_s > _MIN_FETCH_INTERVAL_S)

    async def _fetch(self) -> None:
        """Replace the keys; keep the old ones when the issuer does not answer."""
        self._last_fetch_at = self._clock()
        try:
            # In a thread, because the library fetches by urllib.
            fetched = PyJWKSet.from_dict(await asyncio.to_thread(self._fetch_keys))
        except (PyJWKClientError, jwt.PyJWKSetError, OSError, ValueError):
            log.warning("the issuer's keys could not be fetched", exc_info=True)
            return
        self._keys = {key.key_id: key for key in fetched.keys if key.key_id and key.public_key_use in (None, "sig")}
        self._has_keys = True
