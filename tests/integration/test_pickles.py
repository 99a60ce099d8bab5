"""Pickles in every place of Redis that we or arq read: none is ever loaded."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from arq.constants import health_check_key_suffix, in_progress_key_prefix, job_key_prefix, result_key_prefix
from redis.asyncio import Redis

from tests.support.ids import fresh_id
from tests.support.raw_http import request
from tests.support.redis_server import RedisServer
from tests.support.stack import QUICK, Stack
from tests.support.tenants import AUTH, api_key, bearer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Bomb:
    """Makes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def test_the_bomb_goes_off_where_it_is_loaded(tmp_path: Path) -> None:
    """Or what follows would show nothing."""
    bomb = pickle.dumps(Bomb(tmp_path / "loaded"))
    load = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", load], input=bomb, check=True)
    assert (tmp_path / "loaded").exists()


@pytest.mark.rule("R21")
async def test_no_pickle_is_loaded_from_anywhere(redis_server: RedisServer, tmp_path: Path) -> None:
    """As a job, its result, a request, an entry, meta, an API key, a place, a wake: the worker and the API read on."""
    file = tmp_path / "loaded"
    bomb = pickle.dumps(Bomb(file))
    async with (
        Stack(redis=redis_server, settings=AUTH | {"lease_s": 0.5}) as stack,
        Redis.from_url(redis_server.url) as redis,
    ):
        key = bearer(await api_key(stack, "acme"))
        keys, url = stack.keys, f"{stack.urls[0]}/v1/generations"

        async def made() -> str:
            answer = await stack.post({"model": QUICK, "messages": [{"role": "user", "content": "x"}]}, headers=key)
            assert answer.status == 201
            return str(answer.json()["id"])

        async def is_over(generation_id: str) -> bool:
            return bool((await request("GET", f"{url}/{generation_id}", headers=key)).json()["status"] == "completed")

        first = await made()
        await until(lambda: is_over(first), 20.0, "an answer")
        # Jobs nobody made, for the worker; and all that is written of one that is there, for the API.
        await redis.mset({f"{prefix}{first}:7": bomb for prefix in (result_key_prefix, in_progress_key_prefix)})
        await redis.set(keys.queue + health_check_key_suffix, bomb)
        await redis.hset(keys.api_keys, "bombkey", bomb)
        await redis.xadd(keys.log(first), {"type": "token", "data": bomb})
        await redis.xadd(keys.log(first), {"type": bomb, "data": bomb})
        await redis.hset(keys.meta(first), mapping={"metadata": bomb, "trace": bomb})
        await redis.set(keys.request(first), bomb)
        for n in range(5):
            job = f"{fresh_id()}:{n}"
            await redis.set(f"{job_key_prefix}{job}", bomb)
            await redis.zadd(keys.queue, {job: 1})
        await redis.zadd(keys.queue, {bomb: 1})
        await redis.zadd(keys.active, {bomb: 1})
        await redis.lpush(keys.wake, bomb)
        await redis.publish(keys.hints, bomb)

        for path in ("", "/events", "/viewers", "/ws"):
            await request("GET", f"{url}/{first}{path}", headers=key)
        await request("GET", url, headers=key)
        await request("GET", url, headers=bearer("olk_bombkey_" + "0" * 43))

        async def nothing_waits() -> bool:
            return not await redis.zcard(keys.queue)

        await until(nothing_waits, 20.0, "the jobs were taken")
        second = await made()
        await until(lambda: is_over(second), 20.0, "another answer")
        assert not file.exists()
        assert stack.workers[0].running
