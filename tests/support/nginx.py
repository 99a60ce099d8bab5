"""Owns nginx as tests run it: the configuration of deploy/nginx, on ports of a test's own.

Knows of that configuration only that place.conf is the part which differs from place to place.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.ports import claim_port, release_port
from tests.support.processes import ROOT, STOP_S, OsProcess
from tests.support.programs import program

CONFIGURATION: Final = ROOT / "deploy" / "nginx"

_PLACE: Final = """
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
upstream tokencast_api {{ {servers} keepalive 64; keepalive_timeout 60s; }}
server {{ listen 127.0.0.1:{port} backlog=4096; include tokencast.conf; }}
server {{
    listen 127.0.0.1:{tls_port} ssl http2;
    ssl_certificate certificate.pem;
    ssl_certificate_key key.pem;
    include tokencast.conf;
}}
"""


class Nginx(OsProcess):
    """One nginx in front of API processes, in the clear at `url` and with TLS at `tls_url`."""

    def __init__(self, api_ports: Sequence[int], *, instead: Mapping[str, str] | None = None) -> None:
        """`instead`: text of tokencast.conf -> what stands there for this test, as a shorter time."""
        self.port, self.tls_port = claim_port(), claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.directory = Path(tempfile.mkdtemp(prefix="tokencast-nginx-"))
        self._write(api_ports, instead or {})
        command = [program("nginx"), "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")]
        super().__init__("nginx", [*command, "-g", "daemon off; pid nginx.pid;"])

    async def __aenter__(self) -> Self:
        return await self.start()

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

    def _write(self, api_ports: Sequence[int], instead: Mapping[str, str]) -> None:
        rules = (CONFIGURATION / "tokencast.conf").read_text()
        for words, others in instead.items():
            assert rules.count(words) == 1, f"tokencast.conf says `{words}` {rules.count(words)} times"
            rules = rules.replace(words, others)
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in api_ports)
        place = _PLACE.format(servers=servers, port=self.port, tls_port=self.tls_port)
        (self.directory / "tokencast.conf").write_text(rules)
        (self.directory / "place.conf").write_text(place)
        shutil.copy(CONFIGURATION / "nginx.conf", self.directory)
        if os.geteuid() == 0:
            # Its workers are another user then, who must get at its files.
            self.directory.chmod(0o755)
        make_certificate(self.directory)


def make_certificate(directory: Path) -> None:
    """A self-signed one for 127.0.0.1: `certificate.pem` and `key.pem`."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subprocess.run([program("openssl"), "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
