"""Owns the page at `/` and its files in `web/`.

The page is a client like any other: it uses the public HTTP surface and nothing else.
"""

from importlib import resources
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_WEB: Final = resources.files("outlive.api") / "web"

# The page shows the text of a model. Nothing in that text may run or load.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "require-trusted-types-for 'script'; trusted-types 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}
_FILE_HEADERS: Final = {name: _HEADERS[name] for name in ("X-Content-Type-Options", "Cache-Control")}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    return HTMLResponse(_HTML, headers=_HEADERS)


class _Files(StaticFiles):
    """Browsers revalidate them each time, which costs a 304, so that no page mixes modules of two deploys."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        response = super().file_response(*args, **named)
        response.headers.update(_FILE_HEADERS)
        return response


def install(app: FastAPI) -> None:
    """Serve the page and its files."""
    app.include_router(router)
    app.mount("/static", _Files(directory=str(_WEB)), name="static")


_HTML: Final = (_WEB / "index.html").read_text(encoding="utf-8")
