"""Owns what all tests share: one event loop, one Redis, a key prefix for each test, and detailed failures."""

import secrets
from collections.abc import AsyncIterator, Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.processes import launched
from tests.support.redis_server import RedisServer

# Real servers take their own time; pytest-timeout decides what is too slow.
settings.register_profile("outlive", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("outlive")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio, because arq and redis-py support nothing else. One loop for the session, for shared fixtures."""
    return "asyncio"


@pytest.fixture(scope="session")
async def redis_server(anyio_backend: str) -> AsyncIterator[RedisServer]:
    """A real server for all tests that do not harm it; the others start their own."""
    server = RedisServer(appendonly=False)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def key_prefix() -> str:
    """A prefix for keys that no other test uses."""
    return f"ol-{secrets.token_hex(6)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test printed."""
    report = yield
    if report.failed:
        for process in launched:
            output = process.output().strip()
            if output:
                report.sections.append((f"output of {process.name}", output))
    if call.when == "teardown":
        for process in [one for one in launched if not one.running]:
            launched.remove(process)
    return report
