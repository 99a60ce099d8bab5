"""Owns JSON that is meant to harm its reader: too deep, too long, too many, or accepted by few parsers only.

Pure data for everything that reads JSON from strangers: request bodies, chunks of a provider, growing values.
The tests say what must happen with each.
"""

from typing import Final


def nested(depth: int, opening: str = "[", core: str = "", closing: str = "]") -> str:
    """Something nested in itself this many times."""
    return opening * depth + core + closing * depth


INVALID: Final = {
    "open without end": "[" * 100_000,
    "deep": nested(100_000),
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "a number of 100,000 digits": "9" * 100_000,
    "half a string": '"a',
    "two values": "1 2",
}
"""Invalid JSON: some parsers accept it, and some end the process."""

UNUSUAL: Final = {
    "deep enough to be unlikely": nested(90),
    "a number of 4,000 digits": "9" * 4_000,
    "a number above 64 bits": "9" * 30,
    "one key, a thousand times": "{" + ",".join(f'"k":{n}' for n in range(1_000)) + "}",
    "many keys": "{" + ",".join(f'"k{n}":0' for n in range(10_000)) + "}",
    "many elements": "[" + ",".join(["[]"] * 20_000) + "]",
    "halves of characters": '{"\\udc00":"\\ud800"}',
    "names that are something to JavaScript": '{"__proto__":{"x":1},"constructor":{},"":{"":0},"a/b~c":1}',
    "NUL and line ends": '"\\u0000\\r\\n\\u2028\\u2029\\ufeff"',
}
"""Valid JSON, all of it."""

BEYOND_FLOATS: Final = "1e400"
"""Valid by the grammar, but infinite for nearly every parser."""
