"""What is stored beside a request for the API alone never reaches a provider."""

from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import ECHO
from outlive.worker.job import upstream_request


def test_the_provider_is_not_told_what_the_api_keeps_for_itself() -> None:
    """All else goes as it is."""
    asked = {"model": "demo", "messages": [], "top_k": 3}
    assert upstream_request(encode_json(asked | {ECHO: {"instructions": "x"}})) == asked
    assert upstream_request(encode_json(asked)) == asked
