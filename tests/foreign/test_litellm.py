"""An OpenAI-compatible server that nobody here wrote: LiteLLM's proxy, with its own mock answers.

In an environment of its own (`make foreign`), because it pins half of what we use.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.invariants import check_invariants
from tests.support.processes import ROOT
from tests.support.redis_server import RedisServer
from tests.support.stack import HttpProcess, Stack
from tests.support.transcript import Transcript
from tests.support.viewer import Viewer

pytestmark = pytest.mark.anyio

PYTHON: Final = ROOT / ".tools" / "litellm" / "bin" / "python"
CONFIG: Final = Path(__file__).with_name("litellm.yaml")
KEY: Final = "sk-outlive-0123456789abcdef0123456789"
SAYS: Final = "The sea looks blue: water absorbs red light."


@pytest.fixture(scope="module")
async def provider(anyio_backend: str) -> AsyncIterator[HttpProcess]:
    """The proxy, on a port of its own."""
    assert PYTHON.exists(), "LiteLLM is not installed; `make foreign` does that"
    environ = {
        "LITELLM_MASTER_KEY": KEY,
        # What it would fetch from the network at start: its table of prices.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONSAFEPATH": "1",
    }
    arguments = ["--config", str(CONFIG), "--telemetry", "False"]
    server = HttpProcess(
        "litellm", ["litellm.proxy.proxy_cli"], "/health/liveliness", environ, arguments, python=str(PYTHON)
    )
    server.spawn()
    try:
        # It imports for ten seconds on a machine with nothing else to do.
        await server.ready(within_s=90)
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer, provider: HttpProcess) -> AsyncIterator[Stack]:
    """Outlive, with the proxy as its provider."""
    environ = {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": KEY}
    async with Stack(redis=redis_server, environ=environ) as running:
        yield running


async def _followed(stack: Stack, model: str) -> tuple[dict[str, Any], Transcript]:
    generation_id = await stack.create(model)
    transcript = await Viewer(generation_id, stack.urls, fold=False).follow()
    snapshot = await stack.closed(generation_id)
    check_invariants([transcript], snapshot, await stack.log(generation_id))
    return snapshot, transcript


@pytest.mark.rule("R13", "R15")
async def test_its_stream_comes_through_whole(stack: Stack) -> None:
    """Another server's chunks, finish and usage, to a viewer; how many events they make is the
    publisher's to say, which joins what waits."""
    snapshot, transcript = await _followed(stack, "sea")

    assert (snapshot["status"], snapshot["finish_reason"], snapshot["text"]) == ("completed", "stop", SAYS)
    assert transcript.reduce()["text"] == SAYS
    assert snapshot["usage"]["completion_tokens"] > 0
    assert "estimated" not in snapshot["usage"]


@pytest.mark.rule("R27")
@pytest.mark.parametrize(
    ("model", "code", "retryable", "told"),
    [
        ("overloaded", "upstream_rate_limited", True, "mock rate limit error"),
        ("broken", "upstream_unavailable", True, "mock internal server error"),
        ("no-such-model", "upstream_refused", False, "Invalid model name"),
    ],
)
async def test_its_errors_are_told_in_its_words(
    stack: Stack, model: str, code: str, retryable: bool, told: str
) -> None:
    """Another server's idea of an error body."""
    snapshot, _ = await _followed(stack, model)

    assert (snapshot["status"], snapshot["attempt"]) == ("failed", 1)
    assert (snapshot["error"]["code"], snapshot["error"]["retryable"]) == (code, retryable)
    assert told in snapshot["error"]["message"]
    assert snapshot["usage"]["estimated"] is True
