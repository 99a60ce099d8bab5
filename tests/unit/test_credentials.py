"""Whom a credential belongs to, by a clock and a store of keys that are handed in."""

import pytest

from outlive.api.auth.capability import Capability, Rights, Signer
from outlive.api.auth.credentials import Caller, Credentials
from outlive.shared.errors import Unauthenticated
from outlive.shared.queue.apikeys import ApiKey, new_key
from tests.support.ids import fresh_id

pytestmark = pytest.mark.anyio


class Store:
    """Some API keys, a clock, and how often a key was looked up."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.lookups = 0
        self.now = 50.0
        signer = Signer({"k": b"s" * 32}, lambda: self.now)
        self.credentials = Credentials(self.find, signer, None, clock=lambda: self.now)

    async def find(self, key_id: str) -> ApiKey | None:
        self.lookups += 1
        return self.keys.get(key_id)

    def issue(self, tenant: str) -> str:
        key, text = new_key(tenant, "test", now_s=1.0)
        self.keys[key.id] = key
        return text


@pytest.mark.rule("R45")
async def test_a_key_names_its_tenant() -> None:
    """Who may do everything of its own."""
    store = Store()
    assert await store.credentials.caller(store.issue("acme")) == Caller("acme")


@pytest.mark.rule("R45")
async def test_a_revoked_key_is_believed_for_five_seconds() -> None:
    """For so long it is not looked up again."""
    store = Store()
    text = store.issue("acme")
    await store.credentials.caller(text)
    store.keys.clear()
    store.now += 4.9
    assert await store.credentials.caller(text) == Caller("acme")
    assert store.lookups == 1
    store.now += 0.2
    with pytest.raises(Unauthenticated):
        await store.credentials.caller(text)
    assert store.lookups == 2


@pytest.mark.rule("R45")
async def test_another_secret_under_a_known_id_is_refused() -> None:
    """Also while the key itself is in the cache."""
    store = Store()
    text = store.issue("acme")
    await store.credentials.caller(text)
    with pytest.raises(Unauthenticated):
        await store.credentials.caller(text[:-1] + ("A" if text[-1] != "A" else "B"))


async def test_guesses_do_not_push_out_keys_in_use() -> None:
    """An id that is unknown is looked up each time and kept nowhere."""
    store = Store()
    text = store.issue("acme")
    await store.credentials.caller(text)
    guesses = [new_key("acme", "guess", now_s=1.0)[1] for _ in range(50)]
    for guess in guesses:
        with pytest.raises(Unauthenticated):
            await store.credentials.caller(guess)
    before = store.lookups
    await store.credentials.caller(text)
    assert store.lookups == before


async def test_no_more_than_a_thousand_keys_are_kept() -> None:
    """The oldest goes first."""
    store = Store()
    texts = [store.issue("acme") for _ in range(1_001)]
    for text in texts:
        await store.credentials.caller(text)
    assert len(store.credentials._cached_keys) == 1_000
    before = store.lookups
    await store.credentials.caller(texts[0])
    assert store.lookups == before + 1


@pytest.mark.rule("R48")
@pytest.mark.parametrize("rights", list(Rights))
async def test_a_token_names_one_generation(rights: Rights) -> None:
    """And whether its holder may cancel, until it expires."""
    store = Store()
    held = Capability(fresh_id(), "acme", rights)
    token, expires_at = store.credentials.sign(held, 60)
    assert expires_at == 110
    caller = Caller("acme", held.generation_id, may_cancel=rights is Rights.VIEW_CANCEL)
    assert await store.credentials.caller(token) == caller
    store.now += 60
    with pytest.raises(Unauthenticated):
        await store.credentials.caller(token)


@pytest.mark.parametrize("text", ["", "x", "olk_", "olk_x", "olg_", "a.b.c", "olk_" + "x" * 9_000])
async def test_anything_else_is_nobodys_where_no_issuer_is(text: str) -> None:
    """And costs no lookup."""
    store = Store()
    with pytest.raises(Unauthenticated):
        await store.credentials.caller(text)
    assert store.lookups == 0
