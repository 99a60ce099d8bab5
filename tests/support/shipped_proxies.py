"""Owns the proxies as tests run them: a configuration that we ship in deploy/, on ports of its own.

All these configurations name the hosts and ports of compose.yaml, which are replaced here.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import claim_port, release_port
from tests.support.processes import ROOT, STOP_S, OsProcess
from tests.support.programs import program


class ShippedProxy(OsProcess):
    """One proxy in front of API processes; without TLS at `url`."""

    def __init__(self, name: str, api_ports: Sequence[int], replacements: Mapping[str, str] | None = None) -> None:
        """`replacements`: text of the configuration -> text for this test, for example a shorter time."""
        self.port, self.tls_port = claim_port(), claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.directory = Path(tempfile.mkdtemp(prefix=f"outlive-{name}-"))
        if os.geteuid() == 0:
            # Its workers run as another user then, and must read its files.
            self.directory.chmod(0o755)
        super().__init__(name, self.write(api_ports, replacements or {}))

    def write(self, api_ports: Sequence[int], replacements: Mapping[str, str]) -> list[str]:
        """Write the configuration, and return the command that runs the proxy."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        try:
            return await self.start()
        except BaseException:
            await self.stop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def is_ready(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self, within_s: float = STOP_S) -> None:
        """End it and remove its files."""
        try:
            await super().stop(within_s)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
            release_port(self.port)
            release_port(self.tls_port)


class Haproxy(ShippedProxy):
    """HAProxy with deploy/haproxy."""

    def __init__(self, api_ports: Sequence[int], *, replacements: Mapping[str, str] | None = None) -> None:
        super().__init__("haproxy", api_ports, replacements)

    def write(self, api_ports: Sequence[int], replacements: Mapping[str, str]) -> list[str]:
        make_certificate(self.directory)
        both = [(self.directory / name).read_text() for name in ("certificate.pem", "key.pem")]
        (self.directory / "both.pem").write_text("".join(both))
        site = {
            "bind :8080": f"bind 127.0.0.1:{self.port}",
            "bind :8443": f"bind 127.0.0.1:{self.tls_port}",
            "/tls/both.pem": str(self.directory / "both.pem"),
            # HAProxy needs two files for each connection, and exits if the limit is lower.
            "maxconn 16384": "maxconn 1024",
        } | compose_hosts(api_ports)
        file = self.directory / "haproxy.cfg"
        file.write_text(replace_once((ROOT / "deploy/haproxy/haproxy.cfg").read_text(), site | dict(replacements)))
        return [program("haproxy"), "-db", "-f", str(file)]


class Caddy(ShippedProxy):
    """Caddy with deploy/caddy, without TLS, for which it would need a certificate authority."""

    def __init__(self, api_ports: Sequence[int], *, replacements: Mapping[str, str] | None = None) -> None:
        super().__init__("caddy", api_ports, replacements)

    def write(self, api_ports: Sequence[int], replacements: Mapping[str, str]) -> list[str]:
        site = {
            "\n{\n": f"\n{{\n\tadmin off\n\tstorage file_system {self.directory}\n",
            "{$OUTLIVE_SITE:localhost}": self.url,
        } | compose_hosts(api_ports)
        file = self.directory / "Caddyfile"
        file.write_text(replace_once((ROOT / "deploy/caddy/Caddyfile").read_text(), site | dict(replacements)))
        return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(file)]


def compose_hosts(api_ports: Sequence[int]) -> dict[str, str]:
    """Replacements: the two API processes of compose.yaml -> these ports."""
    return {f"api-{n}:8000": f"127.0.0.1:{port}" for n, port in enumerate(api_ports, start=1)}


def replace_once(text: str, replacements: Mapping[str, str]) -> str:
    """`text` with each key replaced by its value. Fails if a key is not in it exactly once."""
    for words, others in replacements.items():
        assert text.count(words) == 1, f"`{words}` is in it {text.count(words)} times"
        text = text.replace(words, others)
    return text


def make_certificate(directory: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1: `certificate.pem` and `key.pem`."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subprocess.run([program("openssl"), "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
