"""Owns the command `outlive`: its arguments, what it prints when it refuses them, its exit codes.

    outlive up            everything on this machine
    outlive api           the HTTP API
    outlive worker        a worker
    outlive doctor        whether this environment is fit to run Outlive
    outlive keys          API keys and signing keys
    outlive demo-model    a provider that needs no key
    outlive version

Exit code 1: the command could not do its work. 2: an argument or a setting is wrong, or this Redis is
not fit. Each command imports what it runs only when it runs, so that `--help` and a refusal read no
settings and load no library. Knows nothing of how a command does its work.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import click

from outlive.shared.errors import OutliveError, SettingsError, UnfitRedis

_USAGE_ERROR: Final = 2
_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
_MAX_PROCESSES: Final = 256


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit. `arguments` are those after the program's name."""
    try:
        sys.exit(outlive.main(arguments, prog_name="outlive", standalone_mode=False))
    except click.UsageError as error:
        _refuse(_sentence(error), error.exit_code)
    except click.Abort:
        sys.exit(_INTERRUPTED)


def _whole(minimum: int, maximum: int) -> Callable[[object], int]:
    """The type of an option: a whole number between two limits."""

    def number(value: object) -> int:
        text = str(value)
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise click.BadParameter(f"{text!r} is not a whole number from {minimum} to {maximum}.")
        return int(text)

    return number


_PORT: Final = _whole(1, 65_535)
_ANY_PORT: Final = _whole(0, 65_535)
"""0: the kernel chooses a free one."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True}, no_args_is_help=False)
def outlive() -> None:
    """LLM answers that outlive the connection that asked for them."""


@outlive.command()
def version() -> None:
    """Print the version."""
    from outlive import __version__

    click.echo(f"outlive {__version__}")


@outlive.command()
@click.option("--port", type=_PORT, default=8000, help="Port of the API and the web page.")
@click.option("--data", type=click.Path(path_type=Path), default="data", help="Directory of Redis's append-only file.")
@click.option("--api", "apis", type=_whole(1, _MAX_PROCESSES), default=1, help="Number of API processes.")
@click.option("--workers", type=_whole(0, _MAX_PROCESSES), default=1, help="Number of worker processes.")
@click.option("--end-with-parent", is_flag=True, help="End when the parent process ends.")
def up(port: int, data: Path, apis: int, workers: int, *, end_with_parent: bool) -> int:
    """Start everything on this machine.

    Starts Redis, the demo model, workers and the API; Ctrl-C ends them. The demo model is left out if the
    environment names a provider, and Redis if OUTLIVE_REDIS_URL is set.
    """
    with _server_parts():
        from outlive.deploy.local.up import run
    with _one_sentence(SettingsError):
        return run(port, data, apis, workers, os.environ, end_with_parent=end_with_parent)


@outlive.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=_ANY_PORT, default=8000, help="Port to listen on.")
@click.option("--workers", type=_whole(1, _MAX_PROCESSES), default=1, help="Number of processes that share the port.")
def api(host: str, port: int, workers: int) -> None:
    """Serve the HTTP API. Settings come from the environment (OUTLIVE_*)."""
    with _server_parts():
        from outlive.api.api_process import run
    with _one_sentence(SettingsError, UnfitRedis):
        run(host, port, os.environ, processes=workers)


@outlive.command()
def worker() -> None:
    """Run a worker. Settings come from the environment (OUTLIVE_*).

    OUTLIVE_TOOLS may name a module in the current folder.
    """
    with _server_parts():
        from outlive.worker.worker_process import run
    with _one_sentence(SettingsError, UnfitRedis):
        run(os.environ)


@outlive.command()
@click.option("--no-upstream", is_flag=True, help="Do not ask the providers; for machines that run only the API.")
def doctor(*, no_upstream: bool) -> int:
    """Check whether Outlive can run here.

    Reads the settings that the API and the workers read, checks Redis, the providers and this machine, and
    changes nothing. Exit code 1: something must be changed first.
    """
    with _server_parts():
        from outlive.deploy.doctor.examination import run
    with _one_sentence(SettingsError):
        return run(os.environ, upstream=not no_upstream)


@outlive.group(no_args_is_help=False)
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.option("--tenant", required=True, help="Whom the key is for. A tenant may have several keys.")
@click.option("--name", default="", help="Shown in the list, so that you know which key to revoke.")
def create(tenant: str, name: str) -> None:
    """Create a key and print it. It cannot be printed again."""
    with _server_parts():
        from outlive.api.keys import create
    with _one_sentence(OutliveError):
        click.echo(create(os.environ, tenant, name))


@keys.command("list")
def list_() -> None:
    """Print the id, time, tenant and name of each key; no secrets."""
    with _server_parts():
        from outlive.api.keys import listed
    with _one_sentence(OutliveError):
        for line in listed(os.environ):
            click.echo(line)


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> int:
    """Revoke a key. Every API process refuses it within 5 s."""
    with _server_parts():
        from outlive.api.keys import revoke
    with _one_sentence(OutliveError):
        if revoke(os.environ, key_id):
            return 0
    click.echo(f"There is no key {key_id}; `outlive keys list` shows the ids.", err=True)
    return 1


@keys.command("signing-key")
def signing_key() -> None:
    """Print a new key for OUTLIVE_SIGNING_KEYS. Nothing is stored."""
    with _server_parts():
        from outlive.api.keys import new_signing_key
    click.echo(new_signing_key())


@outlive.command("demo-model")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=_ANY_PORT, default=9100, help="Port to listen on; 0 for any free one.")
@click.option("--fd", type=_whole(0, 2**31 - 1), help="Listen on this inherited socket instead.")
@click.option("--key", help="The only key to accept; without it every key is accepted.")
def demo_model(host: str, port: int, fd: int | None, key: str | None) -> int:
    """Serve the demo model.

    It is an OpenAI-compatible provider that needs no key and makes its answers up.
    """
    with _server_parts():
        from outlive.deploy.demo_model.model_process import run
    return run(host, port, fd, key)


@contextmanager
def _server_parts() -> Iterator[None]:
    """Around imports: a library of the extra `server` that is missing is refused in one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "outlive").partition(".")[0] == "outlive":
            raise
        command = click.get_current_context().command_path
        _refuse(f"{command} needs the server parts: pip install 'outlive[server]'", _USAGE_ERROR)


@contextmanager
def _one_sentence(*kinds: type[OutliveError]) -> Iterator[None]:
    """Print an error of these kinds as the one sentence it holds, and exit. All others are our mistakes."""
    try:
        yield
    except kinds as error:
        _refuse(f"{click.get_current_context().command_path}: {error.message}", _USAGE_ERROR)


def _refuse(sentence: str, code: int) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(code)


def _sentence(error: click.UsageError) -> str:
    """On one line, with the command and where to read on."""
    command = error.ctx.command_path if error.ctx else "outlive"
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{command}: {message}. See `{command} --help`."
