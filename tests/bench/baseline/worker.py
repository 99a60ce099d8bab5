"""The usual way to stream answers into Redis: the SDK's typed iteration, one awaited XADD a chunk.

All answers at once in one process, on uvloop. Run by `python -m tests.bench.baseline.worker MODEL COUNT`;
needs OUTLIVE_REDIS_URL and what the openai SDK needs.
"""

import asyncio
import json
import os
import sys

import uvloop
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from redis.asyncio import Redis


async def answer(client: AsyncOpenAI, redis: Redis, model: str, key: str) -> None:
    stream = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Why is the sea blue?"}], stream=True
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await redis.xadd(key, {"type": "token", "data": json.dumps({"text": text})})
    await redis.xadd(key, {"type": "done", "data": "{}"})


async def main(model: str, count: int) -> None:
    client = AsyncOpenAI(max_retries=0, http_client=DefaultAsyncHttpxClient())
    redis = Redis.from_url(os.environ["OUTLIVE_REDIS_URL"])
    print("worker ready", flush=True)
    await asyncio.gather(*(answer(client, redis, model, f"stream:{n}") for n in range(count)))
    print("worker done", flush=True)
    await redis.aclose()
    await client.close()
    # The benchmark reads the CPU time of a running process, so do not exit.
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
