"""Asks Outlive as a user of LiteLLM would; run by its own Python. In and out: JSON."""

import importlib
import json
import os
import sys
from typing import Any

# What it would fetch from the network when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

litellm: Any = importlib.import_module("litellm")

given = json.load(sys.stdin)
where = {"model": f"openai/{given['model']}", "api_base": given["base_url"], "api_key": "none"}
messages = [{"role": "user", "content": given["prompt"]}]
tools = given["tools"]

whole = litellm.completion(messages=messages, **where)
stream = litellm.completion(messages=messages, stream=True, **where)
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
called = litellm.completion(messages=messages, tools=tools, **{**where, "model": f"openai/{given['calls']}"})
response = litellm.responses(input=given["prompt"], **where)
try:
    litellm.completion(messages=messages, n=2, **where)
    refused = None
except litellm.BadRequestError as error:
    refused = str(error)

answer = {
    "texts": [
        whole.choices[0].message.content,
        streamed,
        "".join(part.text for item in response.output if item.type == "message" for part in item.content),
    ],
    "calls": [[call.function.name, call.function.arguments] for call in called.choices[0].message.tool_calls],
    "refused": refused,
}
json.dump(answer, sys.stdout)
