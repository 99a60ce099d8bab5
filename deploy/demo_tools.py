"""Owns the example of tools that a worker runs itself: `OUTLIVE_TOOLS=deploy.demo_tools`.

Plain functions. Type hints become the schema the model is given, the docstring its description.
`TOOLS` says which of them a model may be offered: a function that is not in it never is.
"""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any, Final, Literal

_SKIES: Final = ("clear", "cloudy", "rain", "fog", "snow")
_LOOK_UP_S: Final = 0.2


def clock() -> str:
    """The date and time now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


async def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, Any]:
    """The weather in a city. Made up, but always the same for the same city.

    Args:
        city: The city's name.
        unit: What the temperature is told in.
    """
    # As long as asking somebody would take.
    await asyncio.sleep(_LOOK_UP_S)
    digest = hashlib.sha256(city.encode("utf-8", "surrogatepass")).digest()
    celsius = digest[0] % 40 - 5
    degrees = celsius if unit == "celsius" else round(celsius * 9 / 5 + 32)
    return {"city": city, "sky": _SKIES[digest[1] % len(_SKIES)], "temperature": degrees, "unit": unit}


# Neither changes anything, so a new attempt may ask again; and weather gives up sooner than others.
TOOLS: Final = {
    clock: {"repeatable": True},
    weather: {"repeatable": True, "timeout_s": 5.0},
}
