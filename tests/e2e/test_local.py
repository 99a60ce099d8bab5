"""The launcher as a person uses it: one command, real processes, real signals."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from outlive.deploy.local import redis_server
from outlive.deploy.local.child import Child, Command, Hopeless
from tests.support.ports import claim_port, release_port
from tests.support.processes import OsProcess
from tests.support.raw_http import Response, request
from tests.support.stack import ModelProcess, chat, demo
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

UP_S = 60.0
GONE_S = 15.0
SOON_S = 30.0
EVERYTHING = 8
"""Processes under a launcher: Redis, model, worker and API, and a leash for each."""
UP = [sys.executable, "-m", "outlive", "up"]


class Launcher(OsProcess):
    """`outlive up` on its own port; ready when it has printed so."""

    def __init__(self, data: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.port = claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*UP, "--port", str(self.port), "--data", str(data), *arguments]
        super().__init__("launcher", command, environ)
        self._ups_before = 0

    def spawn(self) -> None:
        self._ups_before = self._ups()
        super().spawn()

    async def is_ready(self) -> bool:
        return self._ups() > self._ups_before

    def _ups(self) -> int:
        return self.output().count(f"Outlive is up: {self.url}/")

    async def stop(self, within_s: float = GONE_S) -> None:
        await super().stop(within_s)
        release_port(self.port)

    async def generate(self, tokens: int = 3) -> Response:
        """Request a short answer and read it to its end."""
        return await request(
            "POST",
            f"{self.url}/v1/generations",
            headers=[("Accept", "text/event-stream")],
            body=chat(demo(tokens=tokens, pace_s=0)),
        )

    async def answers(self) -> bool:
        """Whether an answer completes, through all parts."""
        try:
            answer = await self.generate()
        except (OSError, TimeoutError):
            return False
        return answer.status == 200 and b"event: completed" in answer.body


@pytest.fixture
async def launcher(tmp_path: Path) -> AsyncIterator[Launcher]:
    process = Launcher(tmp_path / "data")
    await process.start()
    yield process
    await process.stop()


def process_table() -> dict[int, tuple[int, str]]:
    """pid -> (parent, command line) of every process that is not a zombie."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(None, 3) for line in listed.splitlines())
    return {int(row[0]): (int(row[1]), row[3]) for row in rows if len(row) == 4 and row[2][0] != "Z"}


def started_by(launcher: OsProcess) -> dict[int, str]:
    """pid -> command line of all descendants of the launcher, leashes included."""
    table = process_table()
    family = {launcher.pid}
    while more := {pid for pid, (parent, _) in table.items() if parent in family} - family:
        family |= more
    return {pid: table[pid][1] for pid in family - {launcher.pid}}


def command_of(launcher: OsProcess, part: str) -> int | None:
    """The pid of one command, not of its leash or its own children; None if it does not run."""
    family = started_by(launcher)
    table = process_table()
    for pid, command in family.items():
        parent = table.get(pid, (0, ""))[0]
        if part in command and "leash.py" not in command and "leash.py" in family.get(parent, ""):
            return pid
    return None


def replaced(launcher: OsProcess, part: str, before: int) -> bool:
    """Whether another process than `before` runs this command now."""
    return command_of(launcher, part) not in (None, before)


async def check_all_gone(pids: Mapping[int, str]) -> None:
    """Check that all these processes end soon."""
    await until(lambda: not pids.keys() & process_table().keys(), GONE_S, "end of all processes")


async def test_one_command_starts_everything_and_an_interrupt_ends_it(launcher: Launcher) -> None:
    """Every part runs and an answer completes; after SIGINT no process is left."""
    assert await launcher.answers()
    assert "curl -N -H 'Accept: text/event-stream'" in launcher.output()
    family = started_by(launcher)
    for part in ("-server", "outlive demo-model", "outlive worker", "outlive api "):
        assert any(part in command for command in family.values()), part
    os.kill(launcher.pid, signal.SIGINT)
    assert await launcher.wait(GONE_S) == 0
    await check_all_gone(family)


async def test_the_printed_curl_line_works(launcher: Launcher) -> None:
    """A shell runs it unchanged, and gets a completed answer."""
    line = next(line for line in launcher.output().splitlines() if line.strip().startswith("curl "))
    shell = await asyncio.create_subprocess_shell(f"{line} -sS", stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(shell.communicate(), SOON_S)
    assert shell.returncode == 0
    assert b"event: completed" in output


async def test_no_process_outlives_a_killed_launcher(launcher: Launcher) -> None:
    """Also after SIGKILL, which the launcher cannot handle."""
    family = started_by(launcher)
    assert len(family) >= EVERYTHING
    os.kill(launcher.pid, signal.SIGKILL)
    await check_all_gone(family)


async def test_no_process_outlives_a_killed_parent_if_requested(tmp_path: Path) -> None:
    """With `--end-with-parent` the launcher and all its processes end."""
    port = claim_port()
    command = " ".join([*UP, "--end-with-parent", "--port", str(port), "--data", str(tmp_path)])
    parent = OsProcess("parent", ["/bin/sh", "-c", f"{command}; true"])
    parent.spawn()
    try:
        await until(lambda: "Outlive is up" in parent.output(), UP_S, "start")
        family = started_by(parent)
        assert len(family) > EVERYTHING
        os.kill(parent.pid, signal.SIGKILL)
        await check_all_gone(family)
    finally:
        await parent.stop()
        release_port(port)


async def test_every_child_that_dies_is_started_again(launcher: Launcher) -> None:
    """Redis, model, worker and API; afterwards an answer completes."""
    for part, name in (
        ("outlive worker", "worker"),
        ("outlive demo-model", "model"),
        ("outlive api ", "api"),
        ("-server", "redis"),
    ):
        before = await until(partial(command_of, launcher, part), SOON_S, f"{name} runs")
        os.kill(before, signal.SIGKILL)
        await until(partial(replaced, launcher, part, before), SOON_S, f"another {name}")
        await until(launcher.answers, SOON_S, f"an answer after {name} was killed", every_s=0.2)
        assert f"{name} ended (killed by SIGKILL); starting it again in " in launcher.output()


async def test_a_command_whose_leash_was_killed_ends_before_its_successor(launcher: Launcher) -> None:
    """The old command does not run beside the new one."""
    before = await until(partial(command_of, launcher, "outlive worker"), SOON_S, "worker runs")
    leash = process_table()[before][0]
    os.kill(leash, signal.SIGKILL)
    await check_all_gone({before: ""})
    await until(partial(replaced, launcher, "outlive worker", before), SOON_S, "another worker")


async def test_an_answer_survives_a_restart_on_the_same_data(tmp_path: Path) -> None:
    """Its snapshot is the same before and after."""
    launcher = Launcher(tmp_path)
    await launcher.start()
    try:
        location = (await launcher.generate()).headers["location"]
        before = await request("GET", launcher.url + location)
        launcher.terminate()
        assert await launcher.wait(GONE_S) == 0
        await launcher.start()
        after = await request("GET", launcher.url + location)
        assert after.status == 200
        assert before.json()["text"] == after.json()["text"]
    finally:
        await launcher.stop()


@pytest.mark.long
async def test_two_launchers_side_by_side_do_not_disturb_each_other(launcher: Launcher, tmp_path: Path) -> None:
    """Each has its own generations, and goes on when the other ends."""
    other = Launcher(tmp_path / "other", "--api", "2", "--workers", "2")
    await other.start()
    try:
        location = (await launcher.generate()).headers["location"]
        assert await other.answers()
        assert (await request("GET", other.url + location)).status == 404
        assert "2 processes" in other.output()
    finally:
        await other.stop()
    assert await launcher.answers()


async def test_the_data_directory_of_another_launcher_is_refused(launcher: Launcher, tmp_path: Path) -> None:
    """The first launcher goes on."""
    second = Launcher(tmp_path / "data")
    await check_refused(second, "Another launcher uses the data directory")
    assert await launcher.answers()


async def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """The message names the port and what to do."""
    launcher = Launcher(tmp_path)
    with socket.create_server(("127.0.0.1", launcher.port)):
        await check_refused(launcher, f"Port {launcher.port} of 127.0.0.1 is taken; choose another with PORT=.")


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        ([], {"OUTLIVE_LEASE_S": "soon"}, "OUTLIVE_LEASE_S"),
        ([], {"OUTLIVE_LEESE_S": "10"}, "There is no setting OUTLIVE_LEESE_S"),
        ([], {"OUTLIVE_REDIS_URL": "redis://127.0.0.1:1/0"}, "No Redis answers"),
        ([], {"OUTLIVE_REDIS_URL": "unix:///no/such/socket"}, "No Redis answers"),
        ([], {"OUTLIVE_REDIS_URL": "sqlite:///x"}, "OUTLIVE_REDIS_URL"),
        (["--port", "eighty"], {}, "--port"),
        (["--workers", "-1"], {}, "--workers"),
        (["--data", "/proc/nowhere"], {}, "/proc/nowhere"),
    ],
)
async def test_a_wrong_setting_or_argument_is_refused_in_one_sentence(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    """The message names it, and no process is started."""
    await check_refused(Launcher(tmp_path, *arguments, environ=environ), message)


async def test_a_redis_that_cannot_start_ends_everything_with_its_last_words(tmp_path: Path) -> None:
    """The last line has its exit code and its last output."""
    server = tmp_path / "bin" / "redis-server"
    server.parent.mkdir()
    server.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "v=7.2.0" && exit 0\necho "no luck"; exit 3\n')
    server.chmod(0o755)
    launcher = Launcher(tmp_path / "data", environ={"PATH": f"{server.parent}:{os.environ['PATH']}"})
    launcher.spawn()
    assert await launcher.wait(SOON_S) == 1
    last_line = launcher.output().splitlines()[-1]
    assert last_line == "Outlive cannot start: redis ended at once (exit code 3); its last words: no luck."
    await launcher.stop()


async def test_a_child_that_always_dies_is_given_up_after_its_tries() -> None:
    """The wait between two tries doubles; the reason has its last output."""
    reading, writing = os.pipe()
    lines: list[str] = []
    given_up: list[Hopeless] = []
    child = Child(Command("moth", ["/bin/sh", "-c", "echo ouch; exit 7"], os.environ, tries=3), reading, lines.append)
    await child.run(given_up.append)
    assert given_up == [("moth ended at once 3 times in a row (exit code 7); its last words: ouch", False)]
    assert lines.count("moth | ouch") == 3
    assert "moth ended (exit code 7); starting it again in 0.2 s" in lines
    assert "moth ended (exit code 7); starting it again in 0.4 s" in lines
    os.close(reading)
    os.close(writing)


async def test_a_child_that_refuses_its_settings_is_not_started_again() -> None:
    """Exit code 2, also after it ran before: its own sentence is the reason."""
    reading, writing = os.pipe()
    lines: list[str] = []
    given_up: list[Hopeless] = []
    child = Child(Command("clerk", ["/bin/sh", "-c", "echo No.; exit 2"], os.environ), reading, lines.append)
    child.has_started = True
    await child.run(given_up.append)
    assert given_up == [("No.", True)]
    assert lines == ["clerk | No."]
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"OUTLIVE_TOOLS": "nope"}, "outlive worker: OUTLIVE_TOOLS: nope cannot be imported: "),
        ({"OUTLIVE_UPSTREAMS": '{"a": {"models": ["*"], "key_env": "NO_KEY"}}'}, "outlive worker: The upstream `a` "),
        ({"OUTLIVE_AUTH": "true"}, "outlive api: OUTLIVE_AUTH is true, but OUTLIVE_SIGNING_KEYS is not set. "),
    ],
)
async def test_what_a_process_refuses_ends_everything(tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
    """With its sentence as the last line, exit code 2, and no welcome."""
    launcher = Launcher(tmp_path, environ=environ)
    launcher.spawn()
    try:
        assert await launcher.wait(UP_S) == 2
        assert launcher.output().splitlines()[-1].startswith(sentence)
        assert "starting it again" not in launcher.output()
        assert "Outlive is up" not in launcher.output()
        assert "Traceback" not in launcher.output()
    finally:
        await launcher.stop()


async def test_up_means_that_a_worker_was_ready(launcher: Launcher) -> None:
    """The welcome comes after the worker's own word."""
    output = launcher.output()
    assert output.index("worker ready") < output.index("Outlive is up: ")


async def test_the_welcome_names_the_provider_and_its_models(tmp_path: Path) -> None:
    """Its address, not its key; the request to try asks for one of its models."""
    model = ModelProcess(arguments=["--key", "sk-canary"])
    await model.start()
    launcher = Launcher(tmp_path, environ={"OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "sk-canary"})
    try:
        await launcher.start()
        output = launcher.output()
        assert f"  model      {model.url}/v1 (demo" in output
        assert '"model":"demo' in output
        assert "sk-canary" not in output
    finally:
        await launcher.stop()
        await model.stop()


async def test_a_provider_that_is_away_does_not_keep_outlive_from_starting(tmp_path: Path) -> None:
    """The welcome says why its models are not known."""
    launcher = Launcher(tmp_path, environ={"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    try:
        await launcher.start()
        refused = "lists no models: The upstream `default` refused the connection at 127.0.0.1:1."
        assert f"http://127.0.0.1:1/v1 ({refused}" in launcher.output()
        assert "NAME-OF-A-MODEL" in launcher.output()
    finally:
        await launcher.stop()


async def test_a_child_that_ignores_the_signal_is_killed_with_all_it_started() -> None:
    """After the grace period its whole process group is killed."""
    reading, writing = os.pipe()
    lines: list[str] = []
    script = "trap '' TERM; sleep 600 & echo $!; while :; do wait; done"
    child = Child(Command("mule", ["/bin/sh", "-c", script], os.environ), reading, lines.append)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.run(lambda why: lines.append(why.reason)))
        await until(lambda: lines, SOON_S, "the child's first line")
        await child.end(0.2)
    await check_all_gone({int(lines[0].removeprefix("mule | ")): ""})
    os.close(reading)
    os.close(writing)


def test_the_socket_of_a_deep_data_directory_is_in_a_short_private_one(tmp_path: Path) -> None:
    """A socket path has a limit of about 100 bytes; no other user may enter the directory."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    path = redis_server.socket_path(deep)
    try:
        assert len(os.fsencode(path)) < 100
        assert path == redis_server.socket_path(deep)
        assert path != redis_server.socket_path(deep / "f")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        path.parent.rmdir()
        redis_server.socket_path(deep / "f").parent.rmdir()


async def check_refused(launcher: Launcher, message: str) -> None:
    """Check that it ends at once with an error, and prints one line that contains the message."""
    launcher.spawn()
    code = await launcher.wait(SOON_S)
    output = launcher.output().strip()
    await launcher.stop()
    assert code != 0
    assert message in output
    assert len(output.splitlines()) == 1, output
    assert output.endswith(".")
