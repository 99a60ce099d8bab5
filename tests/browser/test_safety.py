"""The text of a model stays text: nothing runs, nothing loads, and no link is unsafe."""

from typing import Final

import pytest

from tests.support.browser import Tab
from tests.support.raw_http import request
from tests.support.stack import Stack, demo

pytestmark = pytest.mark.anyio

CORPUS: Final = [
    "<script>window.evil = 1</script>",
    "<img src=x onerror='window.evil = 1'>",
    "<svg onload=window.evil=1><animate onbegin=window.evil=1>",
    "<iframe srcdoc='<script>top.evil = 1</script>'></iframe>",
    "</div></article><style>* { display: none }</style>",
    "[a](javascript:window.evil=1)",
    "[b](JaVaScRiPt:window.evil=1)",
    "[c](\tjava\tscript:window.evil=1)",
    "[d](data:text/html,<script>window.evil=1</script>)",
    "[e](vbscript:window.evil)",
    "[f](&#106;avascript:window.evil=1)",
    "[g](//elsewhere.example/x)",
    "[h](/v1/generations)",
    "[i](https://example.com/\"onmouseover=\"window.evil=1)",
    "![j](javascript:window.evil=1)",
    "![k](https://elsewhere.example/pixel.png)",
    "[l](file:///etc/passwd)",
    "[m](blob:https://example.com/x)",
    "<https://example.com/ok>",
    "https://example.com/plain",
    "[n](https://example.com/fine)",
    "[o](mailto:a@example.com)",
    "```html\n<script>window.evil = 1</script>\n```",
    "```\"><script>window.evil=1</script>\nx\n```",
    "`<img src=x onerror=window.evil=1>`",
    "| a | b |\n|---|---|\n| <b onclick=window.evil=1>x</b> | [p](javascript:1) |",
    "> " * 60 + "deep",
    "- " * 40 + "list",
    "{{constructor.constructor('window.evil=1')()}}",
    "\u202e\u2066 \ud83c\udf0a &lt;b&gt; &amp;",
]  # fmt: skip


async def test_nothing_of_a_models_text_runs_or_loads(page: Tab, stack: Stack) -> None:
    """A corpus of attacks, at once and character by character, which splits every one of them."""
    asked: list[str] = []
    page.page.on("request", lambda sent: asked.append(sent.url))
    for chars in (1, 7, 400):
        await page.ask("\n\n".join(CORPUS), model=demo(pace_s=0, echo=1, chars=chars))
        await page.until_over()
        await page.page.click("#new")
        await page.page.go_back()
        await page.until_over()
    document = await page.page.evaluate(
        """() => ({
            evil: "evil" in window,
            elements: [...document.querySelectorAll(".markdown *")].map((one) => one.localName),
            attributes: [...document.querySelectorAll(".markdown *")].flatMap((one) => one.getAttributeNames()),
            links: [...document.querySelectorAll(".markdown a[href]")].map((one) => one.href),
        })"""
    )
    assert document["evil"] is False
    assert not set(document["elements"]) & {"script", "img", "svg", "iframe", "style", "b", "object", "form"}
    assert not [name for name in document["attributes"] if name.startswith("on")]
    assert document["links"]
    assert {link.partition(":")[0] for link in document["links"]} <= {"https", "mailto"}
    assert {url for url in asked if not url.startswith((stack.urls[0], "data:"))} == set()


async def test_a_question_is_text_as_well(page: Tab) -> None:
    """In the conversation and in the list of conversations."""
    await page.ask("<img src=x onerror='window.evil = 1'><b>bold</b>", model=demo(pace_s=0, tokens=3))
    await page.until_over()
    await page.page.reload()
    await page.until_over()
    assert await page.page.evaluate("'evil' in window || document.querySelectorAll('img, b').length > 0") is False


async def test_the_page_forbids_what_it_does_not_need(stack: Stack) -> None:
    """Only its own files, no inline script, no framing, and no string becomes script or HTML."""
    answer = await request("GET", f"{stack.urls[0]}/")
    policy = answer.headers["content-security-policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "trusted-types 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert b"<script>" not in answer.body
    assert b"style=" not in answer.body
