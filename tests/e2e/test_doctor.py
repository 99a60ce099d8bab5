"""`outlive doctor` against a setup that is fit, one that is not, and one that is missing."""

import json
import sys
from collections.abc import Mapping

import pytest

from tests.support.processes import ROOT, OsProcess
from tests.support.redis_server import RedisServer, redis_binary
from tests.support.stack import ModelProcess

pytestmark = pytest.mark.anyio

SECRET = "canary-5d1f"


async def examine(environ: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run it; return its exit code and its output."""
    doctor = OsProcess("doctor", [sys.executable, "-m", "outlive", "doctor", *arguments], environ)
    doctor.spawn()
    try:
        code = await doctor.wait(30.0)
        return code, doctor.output()
    finally:
        await doctor.stop()


async def test_a_redis_with_our_configuration_is_fit() -> None:
    """deploy/redis/redis.conf unchanged: exit code 0, and a line for each check."""
    redis, model = RedisServer(), ModelProcess()
    addresses = ["--port", "0", "--unixsocket", str(redis.socket_path), "--dir", str(redis.directory)]
    redis.command = [str(redis_binary()), str(ROOT / "deploy/redis/redis.conf"), *addresses]
    await redis.start()
    await model.start()
    try:
        code, printed = await examine({
            "OUTLIVE_REDIS_URL": redis.url, "OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "none"
        })  # fmt: skip
    finally:
        await model.stop()
        await redis.stop()
    assert code == 0, printed
    assert all(f" {about}: " in printed for about in ("redis", "latency", "clock", "provider", "open files")), printed
    assert printed.count("fine") == 5, printed


async def test_every_upstream_is_asked_with_its_own_key(redis_server: RedisServer) -> None:
    """A line for each by its name: one accepts the key, one refuses it, one has no key."""
    model = ModelProcess(arguments=["--key", SECRET])
    await model.start()
    here = {"base_url": f"{model.url}/v1", "models": ["*"]}
    upstreams = {"good": here | {"key_env": "GOOD"}, "bad": here | {"key_env": "BAD"}, "lost": here | {"key_env": "NO"}}
    try:
        code, printed = await examine({
            "OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_UPSTREAMS": json.dumps(upstreams),
            "GOOD": SECRET, "BAD": f"not-{SECRET}",
        })  # fmt: skip
    finally:
        await model.stop()
    assert code == 1
    assert "fine     provider good: It takes the key" in printed
    assert "wrong    provider bad: It refuses the key" in printed
    assert "wrong    provider lost: The upstream `lost` has no key: the variable NO" in printed
    assert SECRET not in printed


async def test_a_redis_that_evicts_is_wrong() -> None:
    """Exit code 1; with only the API, it does not call the provider."""
    redis = RedisServer(options=["--maxmemory-policy", "allkeys-lru"])
    await redis.start()
    try:
        code, printed = await examine({"OUTLIVE_REDIS_URL": redis.url}, "--no-upstream")
    finally:
        await redis.stop()
    assert code == 1
    assert "set it to noeviction" in printed
    assert "provider" not in printed


async def test_what_is_not_there_is_said_without_its_secrets() -> None:
    """It prints neither the password of the URL nor the key, and no traceback."""
    code, printed = await examine({
        "OUTLIVE_REDIS_URL": f"redis://user:{SECRET}@127.0.0.1:1/0",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_API_KEY": SECRET,
    })  # fmt: skip
    assert code == 1
    assert printed.count("wrong") == 2
    assert SECRET not in printed
    assert "Traceback" not in printed


async def test_a_wrong_password_is_told_from_a_redis_that_is_away(redis_server: RedisServer) -> None:
    """The two have different remedies."""
    url = redis_server.url.replace("unix://", "unix://nobody:wrong@")
    code, printed = await examine({"OUTLIVE_REDIS_URL": url}, "--no-upstream")
    assert code == 1
    assert "refuses the user or the password" in printed


async def test_a_redis_that_is_wrong_says_why(redis_server: RedisServer) -> None:
    """In the server's or the system's words, without a traceback; what was seen before is kept."""
    cases = {
        "redis://127.0.0.1:1/0": "It does not answer: Connection refused.",
        "redis://no-such-host.invalid/0": "not known",
        "unix:///no/such/socket": "It does not answer: No such file or directory.",
        f"{redis_server.url}?db=99": "DB index is out of range",
        f"{redis_server.url}?nonsense=1": "an option `nonsense` that is not known",
    }
    for url, words in cases.items():
        code, printed = await examine({"OUTLIVE_REDIS_URL": url}, "--no-upstream")
        assert (code, "Traceback" in printed) == (1, False), printed
        assert words in printed
        assert " open files: " in printed


async def test_a_redis_whose_info_was_renamed_is_examined_without_it() -> None:
    """As hosted servers do."""
    redis = RedisServer(options=["--rename-command", "INFO", "NOT-INFO"])
    await redis.start()
    try:
        code, printed = await examine({"OUTLIVE_REDIS_URL": redis.url}, "--no-upstream")
    finally:
        await redis.stop()
    assert code == 0, printed
    assert "forbids INFO" in printed
    assert " latency: " in printed


async def test_what_api_and_worker_refuse_at_start_is_said(redis_server: RedisServer) -> None:
    """A module of tools that is not there, and authentication without keys."""
    environ = {"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_TOOLS": "nope", "OUTLIVE_AUTH": "true"}
    code, printed = await examine(environ | {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    assert code == 1
    assert "wrong    tools: OUTLIVE_TOOLS: nope cannot be imported" in printed
    assert "warning  authentication: OUTLIVE_AUTH is true, but OUTLIVE_SIGNING_KEYS is not set" in printed


async def test_a_setting_that_is_wrong_ends_it_with_2() -> None:
    """With the same exit code as API and worker."""
    code, printed = await examine({"OUTLIVE_LEASES_S": "1"})
    assert code == 2
    assert "OUTLIVE_LEASES_S" in printed
