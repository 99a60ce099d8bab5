"""Which of an issuer's keys are trusted, and when they are fetched again."""

import json
import time
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from outlive.api.auth.jwt_issuer import Issuer, default_jwks_url
from outlive.shared.errors import IssuerUnavailable, Unauthenticated

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R45")]

NAME: Final = "https://login.example/"
OLD, NEW = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


class Published:
    """What an issuer publishes, how often it was asked, and a clock."""

    def __init__(self, **keys: ec.EllipticCurvePrivateKey) -> None:
        self.keys = keys
        self.is_away = False
        self.asked = 0
        self.now = 10.0
        self.issuer = Issuer(NAME, self.fetch, audience="us", tenant_claim="org", clock=lambda: self.now)

    def fetch(self) -> Any:
        self.asked += 1
        if self.is_away:
            raise OSError("away")
        public = {kid: json.loads(ECAlgorithm.to_jwk(key.public_key())) for kid, key in self.keys.items()}
        return {"keys": [{**jwk, "kid": kid, "use": "sig"} for kid, jwk in public.items()]}


def token(kid: str = "old", key: ec.EllipticCurvePrivateKey = OLD, **claims: Any) -> str:
    sound = {"iss": NAME, "aud": "us", "org": "acme", "exp": time.time() + 60}
    return jwt.encode(sound | claims, key, "ES256", headers={"kid": kid})


async def test_a_claim_names_the_tenant() -> None:
    """The one the operator chose; keys are fetched once for many tokens."""
    published = Published(old=OLD)
    assert [await published.issuer.tenant(token()) for _ in range(5)] == ["acme"] * 5
    assert published.asked == 1


@pytest.mark.parametrize("org", [None, 7, "", "a{b}", "x" * 200])
async def test_a_claim_that_is_not_a_tenant_is_refused_by_name(org: object) -> None:
    """The caller learns which claim it is."""
    with pytest.raises(Unauthenticated, match="`org`"):
        await Published(old=OLD).issuer.tenant(token(org=org))


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    """But only every 30 s, whatever callers send."""
    published = Published(old=OLD)
    await published.issuer.tenant(token())
    published.keys = {"old": OLD, "new": NEW}
    for _ in range(30):
        with pytest.raises(Unauthenticated):
            await published.issuer.tenant(token("new", NEW))
    assert published.asked == 1
    published.now += 31
    assert await published.issuer.tenant(token("new", NEW)) == "acme"
    assert published.asked == 2


async def test_a_withdrawn_key_is_trusted_for_five_minutes() -> None:
    """Then the keys are fetched again."""
    published = Published(old=OLD)
    await published.issuer.tenant(token())
    published.keys = {"new": NEW}
    published.now += 299
    assert await published.issuer.tenant(token()) == "acme"
    published.now += 2
    with pytest.raises(Unauthenticated):
        await published.issuer.tenant(token())


async def test_while_the_issuer_is_away_known_keys_stay() -> None:
    """And it is not asked for every request."""
    published = Published(old=OLD)
    await published.issuer.tenant(token())
    published.is_away = True
    published.now += 301
    assert [await published.issuer.tenant(token()) for _ in range(5)] == ["acme"] * 5
    assert published.asked == 2


async def test_before_the_first_key_nothing_can_be_judged() -> None:
    """The token may be good, so it is not refused."""
    published = Published(old=OLD)
    published.is_away = True
    for _ in range(3):
        with pytest.raises(IssuerUnavailable):
            await published.issuer.tenant(token())
    assert published.asked == 1
    published.is_away = False
    published.now += 31
    assert await published.issuer.tenant(token()) == "acme"


def test_keys_are_where_issuers_put_them() -> None:
    """With and without a slash at the end."""
    assert default_jwks_url(NAME) == default_jwks_url(NAME[:-1]) == "https://login.example/.well-known/jwks.json"
