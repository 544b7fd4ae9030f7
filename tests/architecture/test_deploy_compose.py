"""deploy/compose.yaml: no Docker engine is needed to see whether it fits the services."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from ratchet.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
TEXT = (PROJECT / "deploy" / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("ratchet:")}
MAIN = {
    "executor": ("executor", "executor_port"),
    "recovery": ("recovery", "recovery_port"),
    "notifier": ("notifier", "notifier_port"),
    "admin-api": ("admin_api", "api_port"),
}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def test_every_ratchet_variable_in_compose_is_a_setting() -> None:
    known = {f"RATCHET_{name.upper()}" for name in Settings.model_fields}
    given = {
        name for service in OURS.values() for name in service.get("environment", {}) if name.startswith("RATCHET_")
    }
    assert given <= known


def test_every_setting_can_be_set_through_compose() -> None:
    given = {name for service in MAIN for name in SERVICES[service]["environment"]}
    # Set in the image; for whoever starts a process with a socket to hand on; for fault tests only.
    elsewhere = {"RATCHET_HOST", "RATCHET_LISTEN_FD", "RATCHET_CRASH_AT"}
    assert {f"RATCHET_{name.upper()}" for name in Settings.model_fields} - elsewhere <= given


@pytest.mark.parametrize("name", MAIN)
def test_each_service_runs_its_own_module_on_its_own_port(name: str) -> None:
    module, port_setting = MAIN[name]
    port = Settings.model_fields[port_setting].default
    service = SERVICES[name]
    assert service["command"] == ["python", "-m", module]
    assert service["environment"][f"RATCHET_{port_setting.upper()}"] == str(port)
    assert all(published.endswith(f":{port}:{port}") for published in service.get("ports", []))


@pytest.mark.parametrize("name", MAIN)
def test_each_service_has_a_database_role_and_a_broker_user_of_its_own(name: str) -> None:
    environment = SERVICES[name]["environment"]
    user = f"ratchet_{MAIN[name][0]}"
    assert _without_variables(environment["RATCHET_DATABASE_URL"]).username == user
    assert _without_variables(environment["RATCHET_AMQP_URL"]).username == user
    assert (PROJECT / "deploy/postgres/roles.sql").read_text().count(f"'{user}'") == 1


@pytest.mark.parametrize("name", MAIN)
def test_services_start_after_the_schema_the_grants_and_the_broker_users_are_in_place(name: str) -> None:
    waits = SERVICES[name]["depends_on"]
    assert waits["grants"]["condition"] == "service_completed_successfully"
    assert waits["broker-setup"]["condition"] == "service_completed_successfully"
    assert SERVICES["grants"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"roles": {"condition": "service_completed_successfully"}}


def test_whoever_is_waited_for_to_be_healthy_has_a_health_check() -> None:
    for service in SERVICES.values():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_nothing_and_gain_nothing(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service  # the image's own, which is not root


def test_images_of_others_are_pinned_at_least_by_major_version() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            _, _, tag = service["image"].partition(":")
            assert re.match(r"v?\d+", tag), f"{name} runs {service['image']}"


def test_no_password_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if value is None or not re.search(r"PASS|SECRET|AUTH$|_URL$", name):
                continue
            plain = VARIABLE.sub("", str(value))
            secret = urlsplit(plain).password if "://" in plain else plain
            assert not secret, f"{name} holds a secret"


def test_every_variable_that_compose_insists_on_is_in_the_example() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    required = {name for name, kind, _ in VARIABLE.findall(TEXT) if kind == ":?"}
    assert required <= set(example)
    assert not any(example.values()), "the example must not suggest a password"


def test_the_written_environment_has_a_password_of_its_own_for_everything() -> None:
    script = [sys.executable, str(PROJECT / "deploy" / "write_env.py")]
    written = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    values = dict(re.findall(r"^(\w+)=(.*)$", written, re.MULTILINE))
    assert {name for name, kind, _ in VARIABLE.findall(TEXT) if kind == ":?"} <= set(values)
    assert len(set(values.values())) == len(values)
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values.values())


def test_the_file_with_the_passwords_is_never_committed() -> None:
    assert ".env" in (PROJECT / ".gitignore").read_text().splitlines()


def test_every_variable_without_a_default_is_insisted_on_somewhere() -> None:
    required = {name for name, kind, _ in VARIABLE.findall(TEXT) if kind == ":?"}
    bare = {name for name, kind, _ in VARIABLE.findall(TEXT) if not kind}
    assert bare <= required


def test_every_mounted_file_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (PROJECT / "deploy" / source).exists(), volume


def test_ports_are_published_on_the_loopback_address_unless_told_otherwise() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("${PUBLISH_ON:-127.0.0.1}:") for port in published)


def _without_variables(url: str) -> Any:
    return urlsplit(VARIABLE.sub("x", url))
