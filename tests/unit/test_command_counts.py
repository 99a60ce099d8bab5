"""Which script a command of Redis belongs to, as MONITOR shows it."""

from tests.bench.command_counts import Count, count

LINES = [
    b'+1795330013.1 [0 unix:/tmp/redis.sock] "EVALSHA" "d1" "2" "a" "b"\r\n',
    b'+1795330013.1 [0 lua] "TIME"\r\n',
    b'+1795330013.1 [0 lua] "HSET" "ol:x" "a \\"] \\" b" "2"\r\n',
    b'+1795330013.2 [0 127.0.0.1:5] "XRANGE" "ol:x" "-" "+"\r\n',
    b'+1795330013.2 [0 127.0.0.1:5] "PING"\r\n',
    b'+1795330013.3 [0 unix:/tmp/redis.sock] "EVALSHA" "d2" "1" "a"\r\n',
    b'+1795330013.3 [0 lua] "TIME"\r\n',
]


def test_what_a_script_runs_is_counted_as_its_own() -> None:
    """And what a client sends by itself, by its name."""
    assert count(LINES, {"d1": "renew", "d2": "append"}) == {
        "renew": Count(1, 2),
        "append": Count(1, 1),
        "xrange": Count(1, 0),
        "ping": Count(1, 0),
    }
