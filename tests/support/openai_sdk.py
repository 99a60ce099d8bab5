"""Owns OpenAI's Python SDK as tests use it: pointed at Outlive, or at the demo model itself."""

from typing import Any, Final

from openai import AsyncOpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.support.stack import PROMPT

VARYING: Final = ("id", "created", "system_fingerprint")
"""Fields that differ between two equal answers."""


def sdk_client(base_url: str) -> AsyncOpenAI:
    """The SDK as its users set it up: an address, a key, and its own defaults. The caller closes it."""
    return AsyncOpenAI(base_url=f"{base_url}/v1", api_key="sk-none-needed")


def arguments(model: str, prompt: str = PROMPT, **fields: Any) -> dict[str, Any]:
    """The arguments of `chat.completions.create`."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


async def accumulated(sdk: AsyncOpenAI, **fields: Any) -> dict[str, Any]:
    """Stream a completion, and return what the SDK's accumulator makes of it, without `VARYING`."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    async for chunk in await sdk.chat.completions.create(stream=True, **fields):
        state.handle_chunk(chunk)
    return comparable(state.current_completion_snapshot.to_dict())


def comparable(completion: dict[str, Any]) -> dict[str, Any]:
    """A completion without `VARYING` and without absent fields."""
    return {name: _present(value) for name, value in completion.items() if name not in VARYING and value is not None}


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        # The accumulator adds a parsed value, and keeps the index of a call in its list.
        return {k: _present(v) for k, v in value.items() if v is not None and k not in ("parsed", "index")}
    return [_present(each) for each in value] if isinstance(value, list) else value
