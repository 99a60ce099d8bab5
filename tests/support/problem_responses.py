"""Owns what an error answer must look like."""

from tests.support.raw_http import Response


def check_problem(answer: Response, status: int, code: str | None = None) -> None:
    """RFC 9457, with our stable code."""
    assert answer.status == status
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["code"] == code if code else problem["code"]
