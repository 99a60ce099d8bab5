"""The key that was sent, in whatever way a provider repeats it."""

import pytest

from outlive.worker.upstream.key_censor import cut_key

pytestmark = pytest.mark.rule("R72")

KEY = "sk-proj-ab12cdEFgh34ijKLmn56yz12"


@pytest.mark.parametrize(
    "message",
    [
        f"Incorrect API key provided: {KEY}. You can find yours at https://platform.openai.com/account/api-keys",
        "Incorrect API key provided: sk-proj-****************yz12.", "Bearer sk-proj-ab12cdEFgh34... is not valid",
        f"no such token: ({KEY})", "key ends with ******yz12", "sk-pr…yz12 was revoked", "key=ab12cdEFgh34ijKLmn56",
    ],
)  # fmt: skip
def test_the_key_is_cut_whole_in_part_and_masked(message: str) -> None:
    """Viewers read what a provider says; the key is the operator's."""
    shown = cut_key(message, KEY)
    assert "[key]" in shown
    for secret in ("ab12", "yz12", "EFgh34", "ijKL"):
        assert secret not in shown


@pytest.mark.parametrize(
    "message",
    [
        "You can find your API key at https://platform.openai.com/account/api-keys.", "Invalid key format",
        "The model gpt-4o-2024-08-06 does not exist", "request 0123456789abcdef0123456789abcdef was refused",
        "the task-based model is overloaded...", "this key expired yesterday", "another key: sk-live-zzzz9999zzzz",
    ],
)  # fmt: skip
def test_nothing_else_is_cut(message: str) -> None:
    """The person who must mend it can read what is wrong, links and request ids included."""
    assert cut_key(message, KEY) == message
    assert cut_key(message, None) == message


def test_a_key_without_a_known_prefix_is_cut_too() -> None:
    """In-house gateways have keys of their own kind; a very short one counts whole."""
    assert cut_key("token-abc123inhouse is unknown", "token-abc123inhouse") == "[key] is unknown"
    assert cut_key("demo is unknown; demand", "demo") == "[key] is unknown; demand"


def test_a_short_key_is_cut_only_as_a_word() -> None:
    """Local servers have keys such as `k`, and their errors must stay readable."""
    assert cut_key("Check the key k, not known", "k") == "Check the key [key], not known"
