"""A long answer stays smooth: 200 kB come without a frame that anybody would notice."""

from typing import Final

import pytest
from playwright.async_api import Browser

from tests.support.browser import tab
from tests.support.stack import Stack, demo

pytestmark = pytest.mark.anyio

SECTION: Final = (
    "## A section\n\n"
    + "The tide comes in and *goes out* again, as it **always** has, over `sand` and stone. " * 12
    + "\n\n- one\n- two\n- three with [a link](https://example.com/)\n\n"
    + "```python\n"
    + "for wave in sea:\n    print(wave)\n" * 12
    + "```\n\n"
)
LENGTH: Final = 200_000
LONG: Final = SECTION * (LENGTH // len(SECTION) + 1)
MOST_MS: Final = 100

WATCH_FRAMES: Final = """() => {
    window.longest = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.longest.push(Math.round(entry.duration));
    }).observe({ type: "longtask", buffered: true });
}"""


@pytest.mark.parametrize("how", ["live", "late"])
async def test_200_kb_stay_smooth(browser: Browser, stack: Stack, how: str) -> None:
    """Watched as it is made, and opened when it is already there: no task of 100 ms on the page's thread.

    Measured as the browser's own long tasks and not as gaps between frames: those also come from
    other programs that want the processor.
    """
    async with tab(browser, stack.urls[0]) as page:
        generation_id = await stack.create(demo(pace_s=0.001 if how == "live" else 0, echo=1, chars=100), prompt=LONG)
        if how == "late":
            await stack.closed(generation_id)
        await page.page.add_init_script(f"({WATCH_FRAMES})()")
        await page.open(generation_id)
        await page.until_over()
        await page.until(
            "length => document.querySelectorAll('.markdown figure').length >= length", LONG.count("```py")
        )
        longest = await page.page.evaluate("() => Math.max(0, ...window.longest)")
        in_view = await page.page.evaluate(
            "() => { const { scrollTop, clientHeight, scrollHeight } = document.getElementById('scroll');"
            " return scrollTop + clientHeight >= scrollHeight - 80; }"
        )
        assert page.problems == []
    print(f"longest task, {how}: {longest} ms")
    assert longest < MOST_MS
    assert in_view
