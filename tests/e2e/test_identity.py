"""Authentication: API keys from the command, tokens of an issuer, and addresses at which it is required."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.problem_responses import check_problem
from tests.support.processes import ROOT
from tests.support.raw_http import Ended, Response, request
from tests.support.redis_server import RedisServer
from tests.support.scripted_server import ReceivedRequest, ScriptedServer, whole_response
from tests.support.sse import open_events
from tests.support.stack import QUICK, ApiProcess, Stack, chat
from tests.support.tenants import AUTH, SIGNING_KEY, bearer, parts_of
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

AUDIENCE: Final = "outlive-tests"
ISSUER: Final = "https://login.example/"
RSA: Final = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
CURVE: Final = ec.generate_private_key(ec.SECP256R1())


def jwks(**kids: Any) -> bytes:
    """The keys that the issuer publishes."""
    keys = []
    for kid, key in kids.items():
        kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        keys.append({**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
    return json.dumps({"keys": keys}).encode()


def token(key: Any = RSA, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
    """A valid token, except for the named claims; None leaves a claim out."""
    sound = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60}
    both = {name: value for name, value in (sound | claims).items() if value is not None}
    return jwt.encode(both, key, algorithm, headers={"kid": kid} if kid else None)


async def command(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    """Run `outlive keys`; return its exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outlive", "keys", *arguments),
        cwd=ROOT,
        env=os.environ | stack.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="module")
async def issuer(anyio_backend: str) -> AsyncIterator[ScriptedServer]:
    """Publishes its keys; a test may replace its responses."""

    async def answer(_: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(whole_response("Content-Type: application/json", body=jwks(one=RSA, curve=CURVE)))
        await writer.drain()

    async with ScriptedServer(answer) as origin:
        yield origin


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer, issuer: ScriptedServer) -> AsyncIterator[Stack]:
    """One API process with authentication; no worker, because no test needs an answer."""
    where = f"http://127.0.0.1:{issuer.port}/keys"
    believes = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks_url": where}
    async with Stack(redis=redis_server, workers=0, settings=AUTH | believes) as stack:
        yield stack


async def listed(stack: Stack, credential: str) -> Response:
    return await request("GET", f"{stack.urls[0]}/v1/generations", headers=bearer(credential))


@pytest.mark.rule("R45")
async def test_keys_are_made_listed_and_revoked_by_a_command(stack: Stack) -> None:
    """A tenant may have several. A revoked key works for 5 s more; the others go on working."""
    made = [await command(stack, "create", "--tenant", "acme", "--name", name) for name in ("ci", "laptop")]
    assert [code for code, _, _ in made] == [0, 0]
    one, two = (out.strip() for _, out, _ in made)
    created = await stack.post(chat(QUICK), headers=bearer(one))
    seen = (await listed(stack, two)).json()["generations"]
    assert [generation["id"] for generation in seen] == [created.json()["id"]]

    _, shown, _ = await command(stack, "list")
    assert "acme  ci" in shown
    assert "acme  laptop" in shown
    assert parts_of(one).secret not in shown

    key_id = parts_of(one).id
    assert (await command(stack, "revoke", key_id))[0] == 0
    assert (await command(stack, "revoke", key_id))[0] == 1

    async def refused() -> bool:
        return (await listed(stack, one)).status == 401

    await until(refused, 10.0, "the key revoked")
    assert (await listed(stack, two)).status == 200


async def test_what_cannot_be_a_tenant_is_refused_in_one_sentence(stack: Stack) -> None:
    """The command itself refuses it."""
    code, out, err = await command(stack, "create", "--tenant", "a{b}")
    assert (code, out) == (2, "")
    assert "Traceback" not in err


@pytest.mark.rule("R45")
@pytest.mark.parametrize(("key", "kid", "algorithm"), [(RSA, "one", "RS256"), (CURVE, "curve", "ES256")])
async def test_an_issuers_token_names_its_tenant(stack: Stack, key: Any, kid: str, algorithm: str) -> None:
    """Alice sees what she created, and Bob does not."""
    alice, bob = (token(key, kid, algorithm, sub=name) for name in (f"alice|{kid}", "bob"))
    made = (await stack.post(chat(QUICK), headers=bearer(alice))).json()["id"]
    assert [one["id"] for one in (await listed(stack, alice)).json()["generations"]] == [made]
    assert (await listed(stack, bob)).json()["generations"] == []


@pytest.mark.rule("R45")
@pytest.mark.parametrize(
    "unsound",
    [
        token(exp=None),
        token(exp=time.time() - 60),
        token(nbf=time.time() + 600),
        token(iss="https://other.example/"),
        token(iss=ISSUER[:-1]),
        token(iss=None),
        token(aud="another"),
        token(aud=None),
        token(sub=None),
        token(sub="a{b}"),
        token(sub="x" * 200),
        token(kid=None),
        token(kid="unknown"),
        token(kid="curve"),
        token(rsa.generate_private_key(public_exponent=65_537, key_size=2048)),
        token(CURVE, "one", "ES256"),
        token(None, "one", "none"),
        token("k" * 64, "one", "HS256"),
        token()[:-4],
        "olg_" + token(),
        "not.a.token",
    ],
)  # fmt: skip
async def test_an_unsound_token_is_nobodys(stack: Stack, unsound: str) -> None:
    """Without an end, of another issuer, audience, key or algorithm, or without a name."""
    check_problem(await listed(stack, unsound), 401, "unauthenticated")


@pytest.mark.rule("R45")
async def test_a_public_key_signs_nothing(stack: Stack) -> None:
    """The oldest attack: the public key of the issuer, which everybody has, used as the secret of an HMAC."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60}
    body = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{part(claims)}"
    for secret in (jwks(one=RSA), SIGNING_KEY.encode()):
        mac = base64.urlsafe_b64encode(hmac.new(secret, body.encode(), hashlib.sha256).digest()).decode().rstrip("=")
        check_problem(await listed(stack, f"{body}.{mac}"), 401, "unauthenticated")


async def test_an_issuer_is_asked_rarely_whatever_callers_send(stack: Stack, issuer: ScriptedServer) -> None:
    """A token may name any key; the API must not fetch the keys for each."""
    before = len(issuer.requests)
    for n in range(30):
        assert (await listed(stack, token(kid=f"guess-{n}"))).status == 401
    assert len(issuer.requests) - before <= 1


async def test_an_issuer_that_is_away_is_told_as_such(redis_server: RedisServer) -> None:
    """503, because the token may be valid; a viewer is asked to come back, not refused for good."""
    believes = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks_url": "http://127.0.0.1:1/"}
    async with Stack(redis=redis_server, workers=0, settings=AUTH | believes) as stack:
        answer = await listed(stack, token())
        check_problem(answer, 503, "issuer_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        async with open_events(stack.urls[0], "gen_" + "0" * 32, headers=bearer(token())) as stream:
            assert [frame async for frame in stream] == []
            assert (stream.status, stream.ended) == (200, Ended.CLEAN)
            assert stream.retry_ms


@pytest.mark.rule("R46")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_an_address_that_others_reach_needs_auth(redis_server: RedisServer, host: str) -> None:
    """One sentence and exit code 2; with the setting that allows everybody, it starts."""
    environ = {"OUTLIVE_REDIS_URL": redis_server.url}
    api = ApiProcess("api", environ, ["--host", host])
    try:
        api.spawn()
        assert await api.wait(20.0) == 2
        assert "OUTLIVE_AUTH=true" in api.output()
        assert "Traceback" not in api.output()
        if host == "0.0.0.0":
            api.environ |= {"OUTLIVE_OPEN_TO_ALL": "true"}
            await api.start()
    finally:
        await api.stop()


@pytest.mark.rule("R46")
async def test_auth_needs_keys_to_sign_with(redis_server: RedisServer) -> None:
    """The sentence and exit code of any wrong setting, before it serves anything."""
    api = ApiProcess("api", {"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_AUTH": "true"})
    try:
        api.spawn()
        assert await api.wait(20.0) == 2
        assert "signing-key" in api.output()
    finally:
        await api.stop()
