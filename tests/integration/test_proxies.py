"""The proxies' configurations as they stand in deploy/, judged by the proxies themselves."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.nginx import CONFIGURATION
from tests.support.processes import ROOT
from tests.support.programs import program
from tests.support.shipped_proxies import make_certificate

HOSTS = ("api-1", "api-2", "outlive-api")
SITES = (CONFIGURATION / "site.conf", ROOT / "deploy/kubernetes/base/site.conf")


def at_home(text: str, directory: Path) -> str:
    """The same text without the hosts and certificates of the site it is for."""
    for host in HOSTS:
        text = text.replace(f"{host}:", "127.0.0.1:")
    return text.replace("/tls/", f"{directory}/")


def check_accepted(command: Sequence[str]) -> None:
    """Run a validator."""
    judged = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("site", SITES, ids=["compose", "kubernetes"])
def test_nginx_takes_its_configuration(site: Path, tmp_path: Path) -> None:
    """`nginx -t`, with each site we ship."""
    make_certificate(tmp_path)
    # As Kubernetes names them.
    shutil.copy(tmp_path / "certificate.pem", tmp_path / "tls.crt")
    shutil.copy(tmp_path / "key.pem", tmp_path / "tls.key")
    for file in (CONFIGURATION / "nginx.conf", CONFIGURATION / "outlive.conf", site):
        (tmp_path / file.name).write_text(at_home(file.read_text(), tmp_path))
    check_accepted(
        [program("nginx"), "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", "pid pid;"]
    )


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    """`haproxy -c`; `-dW` makes a warning an error."""
    make_certificate(tmp_path)
    both = [(tmp_path / name).read_text() for name in ("certificate.pem", "key.pem")]
    (tmp_path / "both.pem").write_text("".join(both))
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(at_home((ROOT / "deploy/haproxy/haproxy.cfg").read_text(), tmp_path))
    check_accepted([program("haproxy"), "-c", "-dW", "-f", str(configuration)])


def test_caddy_takes_its_configuration() -> None:
    """`caddy validate` also loads every module it names."""
    check_accepted(
        [program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(ROOT / "deploy/caddy/Caddyfile")]
    )
