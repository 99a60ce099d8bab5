"""API keys: what is handed out proves what is kept, and is not in it."""

from functools import partial

import pytest

from outlive.shared.errors import BadRequest
from outlive.shared.model.generation import is_tenant
from outlive.shared.queue import apikeys
from outlive.shared.queue.apikeys import PREFIX, Presented

new_key = partial(apikeys.new_key, now_s=1_700_000_000.1239)

pytestmark = pytest.mark.rule("R45")


def test_a_key_proves_itself_and_no_other() -> None:
    """The id finds it, the secret proves it."""
    (mine, text), (other, other_text) = new_key("acme", "ci"), new_key("acme", "ci")
    presented, foreign = Presented.parse(text), Presented.parse(other_text)
    assert presented is not None
    assert foreign is not None
    assert presented.id == mine.id != other.id
    assert mine.is_proved_by(presented.secret)
    assert not mine.is_proved_by(foreign.secret)
    assert not mine.is_proved_by("")


def test_a_key_says_when_it_was_made() -> None:
    """To the millisecond, by the clock it was given."""
    assert new_key("acme", "ci")[0].created_at == 1_700_000_000.124


def test_what_is_kept_does_not_hold_the_secret() -> None:
    """256 bits in base64url, of which the hash alone stays."""
    key, text = new_key("acme", "ci")
    secret = text.removeprefix(f"{PREFIX}{key.id}_")
    assert len(secret) == 43
    assert secret not in repr(key)


@pytest.mark.parametrize(
    "text", ["", PREFIX, f"{PREFIX}0123456789ab", f"{PREFIX}0123456789ab_", f"{PREFIX}x_{'A' * 43}"]
)
def test_what_cannot_be_a_key_is_none(text: str) -> None:
    """It is not looked for."""
    assert Presented.parse(text) is None
    assert Presented.parse(f"{PREFIX}0123456789ab_{'A' * 43}\n") is None


@pytest.mark.parametrize("tenant", ["acme", "auth0|5f7c8ec7", "a@b.example", "org:1/team", "A", "x" * 128])
def test_what_issuers_call_their_subjects_is_a_tenant(tenant: str) -> None:
    """And can have keys."""
    assert new_key(tenant, "")[0].tenant == tenant


@pytest.mark.parametrize("tenant", ["", "x" * 129, "a b", "{7}", "a*", "a\n", "é", "-a", "a?b", "a[b]"])
def test_what_means_something_in_a_key_is_no_tenant(tenant: str) -> None:
    """A hash tag, a pattern, a line."""
    assert not is_tenant(tenant)
    with pytest.raises(BadRequest):
        new_key(tenant, "")
