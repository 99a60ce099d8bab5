"""Owns what all tests share: one event loop, one Redis, a key prefix each, and talkative failures."""

import secrets
from collections.abc import AsyncIterator, Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.processes import launched
from tests.support.redis_server import RedisServer

# A real server answers in its own time; what is too slow is for pytest-timeout to say.
settings.register_profile("outlive", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("outlive")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio: arq and redis-py know nothing else. One loop for the session, for shared fixtures."""
    return "asyncio"


@pytest.fixture(scope="session")
async def redis_server(anyio_backend: str) -> AsyncIterator[RedisServer]:
    """A real server for all tests that harm none; those that do start their own."""
    server = RedisServer(appendonly=False)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def key_prefix() -> str:
    """Keys nobody else uses."""
    return f"ol-{secrets.token_hex(6)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its processes printed."""
    report = yield
    if report.failed:
        for process in launched:
            said = process.output().strip()
            if said:
                report.sections.append((f"output of {process.name}", said))
    if call.when == "teardown":
        for process in [one for one in launched if not one.running]:
            launched.remove(process)
    return report
