"""Owns nginx as tests run it: the configuration of deploy/nginx, on ports of its own.

Of that configuration it knows only that site.conf is the file that differs from site to site.
"""

import shutil
from collections.abc import Mapping, Sequence
from typing import Final

from tests.support.processes import ROOT
from tests.support.programs import program
from tests.support.shipped_proxies import ShippedProxy, make_certificate, replace_once

CONFIGURATION: Final = ROOT / "deploy" / "nginx"

_SITE: Final = """
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
upstream outlive_api {{ {servers} keepalive 64; keepalive_timeout 60s; }}
server {{ listen 127.0.0.1:{port} backlog=4096; include outlive.conf; }}
server {{
    listen 127.0.0.1:{tls_port} ssl http2;
    ssl_certificate certificate.pem;
    ssl_certificate_key key.pem;
    include outlive.conf;
}}
"""


class Nginx(ShippedProxy):
    """nginx with deploy/nginx, in front of any number of API processes, also with TLS at `tls_url`."""

    def __init__(self, api_ports: Sequence[int], *, replacements: Mapping[str, str] | None = None) -> None:
        super().__init__("nginx", api_ports, replacements)

    def write(self, api_ports: Sequence[int], replacements: Mapping[str, str]) -> list[str]:
        rules = (CONFIGURATION / "outlive.conf").read_text()
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in api_ports)
        site = _SITE.format(servers=servers, port=self.port, tls_port=self.tls_port)
        (self.directory / "outlive.conf").write_text(replace_once(rules, replacements))
        (self.directory / "site.conf").write_text(site)
        shutil.copy(CONFIGURATION / "nginx.conf", self.directory)
        make_certificate(self.directory)
        command = [program("nginx"), "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")]
        return [*command, "-g", "daemon off; pid nginx.pid;"]
