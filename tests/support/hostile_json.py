"""Owns JSON that is meant to hurt whoever reads it: too deep, too long, too many, or no JSON to all but a few.

Pure data, for whatever takes JSON from strangers: request bodies, a provider's chunks, values that
grow. What has to become of each is the tests' to say.
"""

from typing import Final


def nested(depth: int, opening: str = "[", core: str = "", closing: str = "]") -> str:
    """Something in something in something."""
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
"""Nobody has to take these; some parsers do, and others end with the process."""

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
"""JSON, all of it."""

BEYOND_FLOATS: Final = "1e400"
"""JSON by its grammar, and infinite to nearly everybody."""
