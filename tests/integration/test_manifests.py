"""deploy/'s manifests, as far as they can be judged without a Docker daemon and without a cluster."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from outlive.shared.settings import PREFIX, Settings, load
from tests.support.processes import ROOT

DEPLOY: Final = ROOT / "deploy"
KUBERNETES: Final = DEPLOY / "kubernetes"
OVERLAYS: Final = ("base", "overlays/demo", "overlays/keda", "overlays/monitor", "overlays/upstreams")
FOREIGN: Final = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")
"""Kinds of which Kubernetes itself has no schema: what brings them is installed apart."""

HAND_OVER_S: Final = 5.0
"""What a worker takes at most after its drain; `worker/main.py`."""


def built(overlay: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send; skipped where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here; each file by itself was judged all the same")
    made = subprocess.run(
        [kubectl, "kustomize", str(KUBERNETES / overlay)], capture_output=True, text=True, timeout=30, check=False
    )
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def written() -> list[dict[str, Any]]:
    """Every resource as it stands in a file."""
    files = [file for file in sorted(KUBERNETES.rglob("*.yaml")) if file.name != "kustomization.yaml"]
    return [resource for file in files for resource in yaml.safe_load_all(file.read_text())]


def check_accepted(resource: dict[str, Any]) -> None:
    """Strictly: a field that Kubernetes does not know is a typo."""
    if resource["apiVersion"] not in FOREIGN:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def pods(resources: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in resources:
        if resource["kind"] in ("Deployment", "StatefulSet"):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def compose() -> dict[str, Any]:
    file: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return file


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def environ_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in service.get("environment", {}).items() if name.startswith(PREFIX)}


def settings_env() -> dict[str, str]:
    lines = (KUBERNETES / "base/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_compose_keeps_to_the_specification() -> None:
    """By the schema that Docker publishes."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    judged = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("resource", written(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_each_resource_keeps_to_kubernetes_schemas(resource: dict[str, Any]) -> None:
    """As it is written, so wherever the tests run."""
    check_accepted(resource)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_builds_and_keeps_to_the_schemas(overlay: str) -> None:
    """What is put together may be wrong where each part is right."""
    resources = built(overlay)
    for resource in resources:
        check_accepted(resource)
    assert "Secret" not in {resource["kind"] for resource in resources}, "secrets are given by reference alone"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_runs_as_root_or_may_change_its_own_files(overlay: str) -> None:
    """Nor is any without limits, nor does it hold a key to the cluster."""
    for name, pod in pods(built(overlay)):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name
            assert "readinessProbe" in container, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_is_told_of_services_by_variables(overlay: str) -> None:
    """A Service named outlive-api would set OUTLIVE_API_PORT, and end every process at its start."""
    for name, pod in pods(built(overlay)):
        assert pod["enableServiceLinks"] is False, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_is_given_more_time_than_it_takes_to_drain(overlay: str) -> None:
    """Killed earlier, a worker costs its viewers a lease, and an API process cuts them."""
    settings = load(settings_env())
    grace = {name: pod.get("terminationGracePeriodSeconds", 30) for name, pod in pods(built(overlay))}
    assert grace["outlive-worker"] > settings.drain_s + HAND_OVER_S
    assert grace["outlive-api"] > 5 + settings.viewer_drain_s + 10


def test_a_container_is_given_more_time_than_it_takes_to_drain() -> None:
    """The same for compose."""
    for name, service in compose()["services"].items():
        settings = load(environ_of(service))
        if name.startswith("worker"):
            assert seconds(service["stop_grace_period"]) > settings.drain_s + HAND_OVER_S
        if name.startswith("api"):
            assert seconds(service["stop_grace_period"]) > settings.viewer_drain_s + 10


def test_whatever_is_set_is_a_setting() -> None:
    """A name that nobody reads would end the process at start, in production for the first time."""
    load(settings_env())
    for service in compose()["services"].values():
        load(environ_of(service))
    for _, pod in pods(written()):
        for container in pod["containers"]:
            names = {one["name"] for one in container.get("env", []) if one["name"].startswith(PREFIX)}
            assert names <= {PREFIX + field.upper() for field in Settings.model_fields}


def test_keys_of_providers_are_for_workers_alone() -> None:
    """Every variable that an upstream says its key is in is the worker's, by reference, and none of it the API's."""
    resources = built("overlays/upstreams")
    settings = next(one["data"] for one in resources if one["metadata"]["name"].startswith("outlive-settings"))
    upstreams = load(settings).providers
    wanted = {upstream.key_env for upstream in upstreams.values()} - {None}
    given = {
        name: {one["name"] for one in pod["containers"][0].get("env", ()) if "secretKeyRef" in one.get("valueFrom", {})}
        for name, pod in pods(resources)
    }
    assert len(upstreams) == 3
    assert wanted <= given["outlive-worker"]
    assert not wanted & given["outlive-api"]
