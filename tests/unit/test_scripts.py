"""How a script is put together, and the command that runs it."""

import re
from importlib import resources

import pytest

from outlive.shared.store import scripts

LUA = resources.files("outlive.shared") / "lua"
NAMES = sorted(path.name.removesuffix(".lua") for path in LUA.iterdir() if path.name.endswith(".lua"))
NOT_OF_A_GENERATION = {
    "alive", "claim", "count_request", "enqueue", "leave", "may_sweep", "overdue", "reserve", "tails", "watched",
}  # fmt: skip
"""Scripts that are not about one generation."""


@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_refused_before_its_first_effect(name: str) -> None:
    """Without `#!lua` a server that is full would refuse it in the middle."""
    assert scripts.load(name).text.startswith("#!lua\n")
    assert scripts.load(name, allow_oom=True).text.startswith("#!lua flags=allow-oom\n")


@pytest.mark.parametrize("name", NAMES)
def test_only_scripts_about_one_generation_name_its_keys(name: str) -> None:
    """The others have keys of their own under the same numbers."""
    generation = "local META, LOG, DEADLINES, REQUEST, VIEWERS = "
    assert generation in scripts.load(name).text
    assert generation not in scripts.load(name, on_log=False).text
    body = (LUA / f"{name}.lua").read_text()
    assert (name in NOT_OF_A_GENERATION) == (re.search(r"\b(META|LOG|VIEWERS)\b", body) is None)


@pytest.mark.parametrize("name", NAMES)
def test_no_script_reads_the_time_by_itself(name: str) -> None:
    """One helper turns Redis TIME into milliseconds, for all."""
    assert "redis.call('TIME')" not in (LUA / f"{name}.lua").read_text()
    assert scripts.load(name, on_log=False).text.count("redis.call('TIME')") == 1


def test_a_digest_is_that_of_the_whole_text() -> None:
    """The same body with another prelude or flag is another script to Redis."""
    loaded = {scripts.load("renew", on_log=on, allow_oom=oom).digest for on in (True, False) for oom in (True, False)}
    assert len(loaded) == 4
    assert all(len(digest) == 40 for digest in loaded)


def test_a_call_names_its_keys_before_its_arguments() -> None:
    """Redis finds the slot by them."""
    script = scripts.load("renew")
    assert scripts.Call(script, ["k1", "k2"], ("a", 1)).words() == ("EVALSHA", script.digest, 2, "k1", "k2", "a", 1)
