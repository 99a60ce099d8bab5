"""The command `outlive`: help that does nothing else, and refusals in one sentence."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

COMMANDS = (
    ["up"], ["api"], ["worker"], ["doctor"], ["version"], ["demo-model"],
    ["keys", "create"], ["keys", "list"], ["keys", "revoke"], ["keys", "signing-key"],
)  # fmt: skip
STARTS = (["-m", "outlive"], ["-m", "outlive.api"], ["-m", "outlive.worker"])
BAD_SETTING = {"OUTLIVE_LEESE_S": "10"}
"""A command that reads its settings refuses this."""
HEAVY = ("fastapi", "openai", "arq", "redis", "pydantic", "uvicorn", "aiohttp")


def outlive(*arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environ or {},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_reads_no_settings_and_starts_nothing(command: list[str]) -> None:
    """It prints its usage and ends, although the environment is one that the command refuses."""
    code, printed, errors = outlive("-m", "outlive", *command, "--help", environ=BAD_SETTING)
    assert (code, errors) == (0, "")
    assert printed.startswith(f"Usage: {' '.join(['outlive', *command])} ")


@pytest.mark.parametrize("start", STARTS[1:], ids=" ".join)
def test_a_module_is_the_same_command(start: list[str]) -> None:
    """`python -m outlive.api` has the help of `outlive api`, and refuses the same arguments."""
    command = start[-1].replace(".", " ")
    code, printed, _ = outlive(*start, "--help", environ=BAD_SETTING)
    assert code == 0
    assert printed.startswith(f"Usage: {command} ")
    code, printed, errors = outlive(*start, "--verbose")
    assert (code, printed) == (2, "")
    assert errors == f"{command}: No such option '--verbose'. See `{command} --help`.\n"


@pytest.mark.parametrize("command", [["nonsense"], *([*command, "--nonsense"] for command in COMMANDS)], ids=" ".join)
def test_an_unknown_argument_is_refused_in_one_sentence(command: list[str]) -> None:
    """With exit code 2, before anything is started or read."""
    code, printed, errors = outlive("-m", "outlive", *command, environ=BAD_SETTING)
    assert (code, printed) == (2, "")
    assert "nonsense" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("command", [["up"], ["api"], ["worker"], ["doctor"], ["keys", "list"]], ids=" ".join)
def test_a_wrong_setting_is_refused_in_one_sentence(command: list[str]) -> None:
    """With exit code 2, and with the name of the setting."""
    code, _, errors = outlive("-m", "outlive", *command, environ=BAD_SETTING)
    assert code == 2
    assert errors.startswith(f"outlive {' '.join(command)}: There is no setting OUTLIVE_LEESE_S")
    assert len(errors.splitlines()) == 1


def test_neither_the_package_nor_its_command_line_loads_the_server() -> None:
    """`import outlive` costs an application little, and help is quick."""
    code, printed, errors = outlive("-c", "import sys, outlive.cli; print(*sys.modules)")
    assert code == 0, errors
    assert not {name.partition(".")[0] for name in printed.split()} & set(HEAVY)
