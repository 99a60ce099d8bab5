"""Owns what an error response must look like."""

from tests.support.raw_http import Response


def check_problem(response: Response, status: int, code: str | None = None) -> None:
    """Check that this is a problem by RFC 9457 with this status, and with our stable code."""
    assert response.status == status
    assert response.headers["content-type"].partition(";")[0] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["code"] == code if code else problem["code"]
