"""Two providers that accept only the right key, and a third without a key, behind one Outlive."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from tests.support.openai_sdk import arguments, sdk_client
from tests.support.problem_responses import check_problem
from tests.support.redis_server import RedisServer
from tests.support.stack import ModelProcess, Stack, WorkerProcess, chat, demo, unique
from tests.support.tools import calling
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = ("demo;seed=1*", "demo;seed=2*", "demo;seed=3*")
"""What each serves. All of them could answer each of these names."""
MAX_TOKENS, FEW_TOKENS = 40, 10
SETTINGS = {"first_token_s": 0.5, "max_output_tokens": MAX_TOKENS, "tools": "tests.support.tools"}


@dataclass(frozen=True, slots=True)
class Site:
    """One API and one worker. The second provider also serves the models of the first, for callers that name it. The
    third takes one request at a time. The API has no keys, and knows one provider more than the worker."""

    stack: Stack
    one: ModelProcess
    two: ModelProcess

    @property
    def three(self) -> ModelProcess:
        return self.stack.model

    async def request_counts(self, model: str) -> dict[str, int]:
        """How many requests for this model each provider got."""
        models = {"one": self.one, "two": self.two, "three": self.three}
        return {name: len(await process.requests(model)) for name, process in models.items()}


@pytest.fixture(scope="module")
async def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    key_file = tmp_path_factory.mktemp("keys") / "two"
    key_file.write_text("sk-two\n")
    stack = Stack(redis=redis_server, settings=SETTINGS)
    one, two = ModelProcess("one", ["--key", "sk-one"]), ModelProcess("two", ["--key", "sk-two"])
    upstreams: dict[str, dict[str, Any]] = {
        "one": {"base_url": f"{one.url}/v1", "key_env": "KEY_OF_ONE", "models": [ONE]},
        "two": {"base_url": f"{two.url}/v1", "key_file": str(key_file), "models": [TWO, ONE]},
        "three": {
            "base_url": f"{stack.model.url}/v1", "models": [THREE], "at_once": 1, "max_output_tokens": FEW_TOKENS
        },
    }  # fmt: skip
    more = {"new": {"base_url": "http://127.0.0.1:1/v1", "models": ["demo;seed=4*"]}}
    for process in (*stack.apis, *stack.workers):
        del process.environ["OPENAI_BASE_URL"], process.environ["OPENAI_API_KEY"]
    for api in stack.apis:
        api.environ["OUTLIVE_UPSTREAMS"] = json.dumps(upstreams | more)
    for worker in stack.workers:
        worker.environ |= {"OUTLIVE_UPSTREAMS": json.dumps(upstreams), "KEY_OF_ONE": "sk-one"}
    async with AsyncExitStack() as running:
        for model in (one, two):
            running.push_async_callback(model.stop)
            await model.start()
        await running.enter_async_context(stack)
        yield Site(stack, one, two)


def named(seed: int, **wishes: object) -> str:
    """A model name that no other request has; without wishes it is fast."""
    return demo(seed=f"{seed}{unique()[:9]}", **(wishes or {"pace_s": 0, "tokens": 3}))


@pytest.mark.rule("R64")
async def test_each_model_reaches_its_own_server_with_its_own_key(site: Site) -> None:
    """On every wire; each server refuses the key of the other, and no other server gets a request."""
    for seed, name in ((1, "one"), (2, "two"), (3, "three")):
        model = named(seed)
        assert (await site.stack.closed(await site.stack.create(model)))["status"] == "completed"
        async with sdk_client(site.stack.urls[0]) as sdk:
            completion = await sdk.chat.completions.create(**arguments(model))
            assert completion.choices[0].finish_reason == "stop"
            assert (await sdk.responses.create(model=model, input="Hello")).status == "completed"
        assert await site.request_counts(model) == {"one": 0, "two": 0, "three": 0} | {name: 3}


@pytest.mark.rule("R64")
async def test_a_caller_may_name_the_upstream(site: Site) -> None:
    """On every wire: the named upstream gets the request, although another comes first; it does not see the name."""
    model = named(1)
    await site.stack.closed(await site.stack.create(model, upstream="two"))
    async with sdk_client(site.stack.urls[0]) as sdk:
        await sdk.chat.completions.create(**arguments(model), extra_body={"upstream": "two"})
        await sdk.responses.create(model=model, input="Hello", extra_body={"upstream": "two"})
    assert await site.request_counts(model) == {"one": 0, "two": 3, "three": 0}


@pytest.mark.rule("R64")
@pytest.mark.parametrize("fields", [{}, {"upstream": "one"}, {"upstream": "nobody"}])
async def test_what_nobody_serves_is_refused_and_nobody_asked(site: Site, fields: dict[str, str]) -> None:
    """With its code on every wire, and without a generation."""
    model = named(1 if fields.get("upstream") == "nobody" else 9)
    check_problem(await site.stack.post(chat(model, **fields)), 404, "model_not_found")
    async with sdk_client(site.stack.urls[0]) as sdk:
        for ask in (
            sdk.chat.completions.create(**arguments(model), extra_body=fields),
            sdk.responses.create(model=model, input="Hello", extra_body=fields),
        ):
            with pytest.raises(openai.NotFoundError) as refused:
                await ask
            assert refused.value.code == "model_not_found"
    assert await site.request_counts(model) == {"one": 0, "two": 0, "three": 0}


@pytest.mark.rule("R64")
async def test_no_caller_names_an_address(site: Site) -> None:
    """A URL is not the name of an upstream, and fields that look like one change nothing."""
    url = f"{site.two.url}/v1"
    model = named(1)
    check_problem(await site.stack.post(chat(model, upstream=url)), 404, "model_not_found")
    check_problem(await site.stack.post(chat(url)), 404, "model_not_found")
    check_problem(await site.stack.post(chat(model, upstream={"base_url": url})), 400, "bad_request")
    tried: dict[str, Any] = {
        "base_url": url,
        "api_base": url,
        "api_key": "sk-two",
        "extra_headers": {"Authorization": "Bearer x"},
    }
    await site.stack.closed(await site.stack.create(model, **tried))
    assert await site.request_counts(model) == {"one": 1, "two": 0, "three": 0}


async def test_a_worker_that_knows_less_than_the_api_says_so(site: Site) -> None:
    """Its settings are older: the answer fails with the same code, at once."""
    failed = await site.stack.closed(await site.stack.create(named(4)))
    assert failed["error"]["code"] == "model_not_found"


@pytest.mark.rule("R65")
async def test_questions_beyond_what_an_upstream_takes_at_once_wait(site: Site) -> None:
    """In the worker, until the one before has ended, and longer than the provider may be silent. One that is cancelled
    meanwhile is never sent, and other upstreams do not wait."""
    gate = unique()
    first, second, never = named(3, gate=gate, gate_after=1, tokens=3), named(3), named(3)
    running = await site.stack.create(first)
    await until(lambda: site.three.requests(first), 20.0, "the first question")
    waiting, cancelled = await site.stack.create(second), await site.stack.create(never)

    async def taken() -> bool:
        return all([(await site.stack.snapshot(one))["attempt"] for one in (waiting, cancelled)])

    await until(taken, 20.0, "both are the worker's")
    await site.stack.cancel(cancelled)
    # More than `first_token_s` for the provider.
    slow = await site.stack.closed(await site.stack.create(named(1, pace_s=0.05, tokens=20)))
    assert slow["status"] == "completed"
    assert (await site.stack.snapshot(waiting))["status"] == "running"
    assert await site.request_counts(second) == {"one": 0, "two": 0, "three": 0}

    await site.three.open_gate(gate)
    assert (await site.stack.closed(running))["status"] == "completed"
    assert (await site.stack.closed(waiting))["status"] == "completed"
    assert await site.request_counts(never) == {"one": 0, "two": 0, "three": 0}


@pytest.mark.rule("R66")
@pytest.mark.parametrize(("seed", "max_tokens"), [(1, MAX_TOKENS), (3, FEW_TOKENS)])
async def test_an_answer_has_no_more_tokens_than_its_upstream_allows(site: Site, seed: int, max_tokens: int) -> None:
    """One token more ends it as too large, with the text so far."""
    whole = await site.stack.closed(await site.stack.create(named(seed, pace_s=0.001, chars=9, tokens=max_tokens)))
    cut = await site.stack.closed(await site.stack.create(named(seed, pace_s=0.001, chars=9, tokens=max_tokens + 1)))
    assert (whole["status"], cut["status"], cut["error"]["code"]) == ("completed", "failed", "output_too_large")
    assert len(cut["text"]) == 9 * max_tokens


@pytest.mark.rule("R66")
async def test_many_turns_have_no_more_tokens_than_one(site: Site) -> None:
    """A model that goes on calling tools gets no further request once it has produced as many tokens."""
    model = named(1, pace_s=0, tools=1, turns=100)
    cut = await site.stack.closed(await site.stack.create(model, tools=[calling("add", a=1, b=2)]))
    assert cut["error"]["code"] == "output_too_large"
    assert 1 < len(cut["tool_results"]) < 16


@pytest.mark.rule("R66")
@pytest.mark.parametrize(("seed", "max_tokens"), [(1, MAX_TOKENS), (3, FEW_TOKENS)])
async def test_who_asks_for_more_tokens_than_allowed_is_told(site: Site, seed: int, max_tokens: int) -> None:
    """By every field for that number; nothing is created, and the limit itself is allowed."""
    model = named(seed)
    for name in ("max_tokens", "max_completion_tokens"):
        check_problem(await site.stack.post(chat(model) | {name: max_tokens + 1}), 400, "bad_request")
    async with sdk_client(site.stack.urls[0]) as sdk:
        with pytest.raises(openai.BadRequestError):
            await sdk.responses.create(model=model, input="Hello", max_output_tokens=max_tokens + 1)
    assert await site.request_counts(model) == {"one": 0, "two": 0, "three": 0}
    assert (await site.stack.post(chat(model, max_tokens=max_tokens))).status == 201


async def test_a_worker_without_a_key_does_not_start(redis_server: RedisServer) -> None:
    """It ends with the exit code of a wrong setting, and names the upstream and where its key should be."""
    upstreams = {"one": {"key_env": "KEY_OF_ONE", "models": ["*"]}}
    environ = {"OUTLIVE_REDIS_URL": redis_server.url, "OUTLIVE_UPSTREAMS": json.dumps(upstreams)}
    worker = WorkerProcess("worker", environ)
    worker.spawn()
    try:
        assert await worker.wait(20.0) == 2
        assert "`one`" in worker.output()
        assert "KEY_OF_ONE" in worker.output()
    finally:
        await worker.stop()
