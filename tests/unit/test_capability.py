"""Tokens for one generation: signed, expiring, and nothing else is one."""

import base64
from typing import Any

import jwt
import pytest

from outlive.api.auth.capability import PREFIX, Capability, Rights, Signer
from outlive.shared.errors import SettingsError, Unauthenticated
from tests.support.ids import fresh_id

OLD, NEW = b"o" * 64, b"n" * 64
NOW = 1_800_000_000.0
EXPIRES = int(NOW) + 60
HELD = Capability(fresh_id(), "acme", Rights.VIEW)


def clock() -> float:
    return NOW


def signed(claims: dict[str, object], key: Any = NEW, algorithm: str = "HS256", kid: str = "new") -> str:
    """A token whose maker knows the key but not the rules."""
    sound = {"typ": "outlive-generation", "gen": HELD.generation_id, "tenant": "acme", "rights": "view"}
    both = {name: value for name, value in (sound | {"exp": EXPIRES} | claims).items() if value is not None}
    return PREFIX + jwt.encode(both, key, algorithm, headers={"kid": kid})


@pytest.mark.rule("R48")
@pytest.mark.parametrize("rights", list(Rights))
def test_what_was_signed_is_read(rights: Rights) -> None:
    """Generation, tenant and rights, as they were."""
    held = HELD._replace(rights=rights)
    signer = Signer({"new": NEW}, clock)
    assert signer.read(signer.sign(held, EXPIRES)) == held


@pytest.mark.rule("R48")
def test_a_key_is_rotated_without_a_token_lost() -> None:
    """Each step of a rolling restart: the new key is believed everywhere before it signs anywhere."""
    before, between, after = (
        Signer({"old": OLD}, clock),
        Signer({"old": OLD, "new": NEW}, clock),
        Signer({"new": NEW, "old": OLD}, clock),
    )
    for maker, readers in (
        (before, (before, between, after)),
        (between, (before, between, after)),
        (after, (between, after)),
    ):
        token = maker.sign(HELD, EXPIRES)
        assert [reader.read(token) for reader in readers] == [HELD] * len(readers)
    with pytest.raises(Unauthenticated):
        Signer({"new": NEW}, clock).read(before.sign(HELD, EXPIRES))


@pytest.mark.rule("R48")
def test_a_token_expires_in_its_second() -> None:
    """Not before, and at once then."""
    times = [NOW]
    signer = Signer({"new": NEW}, lambda: times[-1])
    token = signer.sign(HELD, signer.expiry(60))
    times.append(NOW + 59.9)
    assert signer.read(token) == HELD
    times.append(NOW + 60)
    with pytest.raises(Unauthenticated):
        signer.read(token)


@pytest.mark.rule("R48")
@pytest.mark.parametrize(
    "token",
    [
        signed({"exp": int(NOW) - 1}),
        signed({"exp": int(NOW)}),
        signed({"exp": None}),
        signed({"exp": "never"}),
        signed({"rights": "admin"}),
        signed({"rights": ["view"]}),
        signed({"rights": None}),
        signed({"typ": "session"}),
        signed({"gen": "*"}),
        signed({"gen": 7}),
        signed({"tenant": "a{b}"}),
        signed({}, key=OLD),
        signed({}, kid="gone"),
        signed({}, algorithm="HS512"),
        signed({}, key=None, algorithm="none"),
        signed({})[:-2],
        signed({}).replace(".", "..", 1),
        PREFIX,
        PREFIX + "x",
        PREFIX + "é.é.é",
        f"{PREFIX}{'A' * 9_000}.A.A",
    ],
)  # fmt: skip
def test_whatever_is_not_sound_is_nobodys(token: str) -> None:
    """Expired, without an end, of other rights, another kind, another key, another algorithm, or cut."""
    with pytest.raises(Unauthenticated):
        Signer({"new": NEW}, clock).read(token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:",
        ":" + "A" * 43,
        "a:" + "A" * 40,
        "a:" + "A" * 43 + ",",
        "a:" + "?" * 43,
        "a:" + "A" * 43 + ",b:short",
    ],
)
def test_a_setting_that_is_no_key_is_refused(text: str) -> None:
    """A short secret could be guessed, and one misspelt would be another on another machine."""
    with pytest.raises(SettingsError, match="signing-key"):
        Signer.parse(text, clock)


def test_the_setting_may_have_padding_or_not() -> None:
    """Both are written in the wild."""
    secret = base64.urlsafe_b64encode(NEW).decode()
    token = Signer({"k": NEW}, clock).sign(HELD, EXPIRES)
    assert (
        Signer.parse(f"k:{secret}", clock).read(token)
        == Signer.parse(f"k:{secret.rstrip('=')}", clock).read(token)
        == HELD
    )
