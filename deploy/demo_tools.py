"""Owns the example of tools that a worker runs itself: `OUTLIVE_TOOLS=outlive.deploy.demo_tools`.

Plain functions. Their type hints become the schema the model is given, their docstrings its
description. A model can only be offered a function that `@tool` marks.
"""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any, Final, Literal

from outlive import tool

_SKIES: Final = ("clear", "cloudy", "rain", "fog", "snow")
_LOOK_UP_S: Final = 0.2


# Neither of the two changes anything, so a new attempt may run it again.
@tool(repeatable=True)
def clock() -> str:
    """The date and time now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@tool(repeatable=True, timeout_s=5.0)
async def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, Any]:
    """The weather in a city. Made up, but always the same for the same city.

    Args:
        city: The city's name.
        unit: The unit of the temperature.
    """
    # About as long as a weather service takes.
    await asyncio.sleep(_LOOK_UP_S)
    digest = hashlib.sha256(city.encode("utf-8", "surrogatepass")).digest()
    celsius = digest[0] % 40 - 5
    degrees = celsius if unit == "celsius" else round(celsius * 9 / 5 + 32)
    return {"city": city, "sky": _SKIES[digest[1] % len(_SKIES)], "temperature": degrees, "unit": unit}
