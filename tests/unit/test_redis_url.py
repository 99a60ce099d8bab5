"""Where Redis is, in one setting: what each form means, and what is said of mistakes."""

import pytest

from outlive.shared.errors import SettingsError
from outlive.shared.redis_url import Kind, parse
from outlive.shared.settings import load

SECRET = "canary-77aa"


@pytest.mark.parametrize("url", ["redis://h", "redis://u:p@h:1/3", "rediss://h:6380", "unix:///tmp/r.sock?db=1"])
def test_one_server_is_redis_py_s_own_url(url: str) -> None:
    """Handed on as it is."""
    address = parse(url)
    assert (address.kind, address.url) == (Kind.ONE, url)


def test_sentinels_name_a_service() -> None:
    """Hosts with or without port; login and options are the server's, `sentinel_...` the Sentinels'."""
    address = parse("rediss+sentinel://u:p@a,b:1,[::1]:2/main/3?sentinel_password=s&ssl_cert_reqs=none")
    assert address.kind is Kind.SENTINEL
    assert address.hosts == (("a", 26_379), ("b", 1), ("::1", 2))
    assert address.service == "main"
    assert address.url == "rediss://u:p@localhost/3?ssl_cert_reqs=none"
    assert address.sentinel_login == (None, "s")


def test_a_cluster_is_some_of_its_nodes() -> None:
    """They know the others."""
    address = parse("redis+cluster://:p@a:7000,b")
    assert address.kind is Kind.CLUSTER
    assert address.hosts == (("a", 7000), ("b", 6379))
    assert address.url == "redis://:p@localhost/0"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:6379", "unknown scheme"),
        ("http://h", "unknown scheme"),
        ("redis://h:port", "host or port"),
        ("redis://a,b", "several servers"),
        ("redis://h/main", "is not a number"),
        ("unix://", "names no socket"),
        ("redis+sentinel://a,b", "names no service"),
        ("redis+sentinel://a,,b/main", "host in the URL is empty"),
        ("redis+sentinel://a/main/x", "is not a number"),
        ("redis+cluster://", "host in the URL is empty"),
        ("redis+cluster://a:99999", "port"),
        ("redis+cluster://a/1", "has only database 0"),
    ],
)
def test_a_mistake_is_one_sentence(url: str, says: str) -> None:
    """Said of the setting by its name, and never with the URL in it: that may hold a password."""
    scheme, _, rest = url.partition("://")
    secret = f"{scheme}://user:{SECRET}@{rest}" if rest else url
    with pytest.raises(SettingsError) as raised:
        load({"OUTLIVE_LOG_URL": secret})
    assert says in raised.value.message
    assert "OUTLIVE_LOG_URL" in raised.value.message
    assert SECRET not in raised.value.message


def test_the_queue_cannot_be_on_a_cluster() -> None:
    """arq needs one Redis; the sentence says which setting the cluster belongs in."""
    with pytest.raises(SettingsError, match="set OUTLIVE_LOG_URL to the cluster"):
        load({"OUTLIVE_REDIS_URL": "redis+cluster://a"})


def test_logs_are_where_the_queue_is_unless_told_otherwise() -> None:
    """One setting is enough for one Redis."""
    assert load({"OUTLIVE_REDIS_URL": "redis://a"}).log_plane_url == "redis://a"
    assert load({"OUTLIVE_LOG_URL": "redis+cluster://b"}).log_plane_url == "redis+cluster://b"
