"""The services get the contract's ports, the caller's wishes, and secrets that stay the same."""

import socket
import stat

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from local_stack import services
from local_stack.errors import StackError
from local_stack.folder import FolderInUseError, StackFolder, exclusive
from local_stack.logins import token_for
from local_stack.secret_store import stack_secrets
from local_stack.server_urls import ServerUrls
from local_stack.service_keeper import restart_delay
from local_stack.services import API, EXECUTOR, NOTIFIER, RECOVERY, Wishes, plan_services

URLS = ServerUrls("postgresql://somewhere/db", "amqp://somewhere/", "redis://somewhere/0")


@pytest.fixture
def folder(tmp_path):
    return StackFolder.at(tmp_path / "stack")


@pytest.fixture(autouse=True)
def _all_ports_are_free(monkeypatch):
    monkeypatch.setattr(services, "is_free", lambda _port: True)


def plan(folder, environ=None, said=None, **wishes):
    return plan_services(folder, URLS, Wishes(environ or {}, **wishes), (said if said is not None else []).append)


def test_without_wishes_the_ports_are_those_of_the_contract(folder):
    ports = {service.name: service.port for service in plan(folder).services}
    assert ports == {"admin-api": 8080, "notifier": 8081, "executor": 8082, "recovery": 8083}


def test_a_port_variable_of_the_caller_is_honoured(folder):
    planned = plan(folder, {"RATCHET_EXECUTOR_PORT": "21999"})
    assert planned.url_of(EXECUTOR) == "http://127.0.0.1:21999"
    assert planned.settings["RATCHET_EXECUTOR_PORT"] == "21999"


def test_a_taken_contract_port_is_replaced_and_that_is_said(folder, monkeypatch):
    monkeypatch.setattr(services, "is_free", lambda port: port != 8080)
    said = []
    planned = plan(folder, said=said)
    assert planned.url_of(API) != "http://127.0.0.1:8080"
    assert "Port 8080 is taken" in said[0]
    assert "RATCHET_API_PORT" in said[0]


def test_a_taken_port_that_the_caller_chose_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(services, "is_free", lambda _port: False)
    with pytest.raises(StackError, match="RATCHET_NOTIFIER_PORT"):
        plan(folder, {"RATCHET_NOTIFIER_PORT": "21999"})


@pytest.mark.parametrize("wrong", ["x", "0", "70000", "-1"])
def test_a_port_that_is_no_port_is_an_error(folder, wrong):
    with pytest.raises(StackError, match="is no port"):
        plan(folder, {"RATCHET_API_PORT": wrong})


def test_two_services_on_one_port_are_an_error(folder):
    with pytest.raises(StackError, match="same port"):
        plan(folder, {"RATCHET_API_PORT": "21999", "RATCHET_NOTIFIER_PORT": "21999"})


def test_more_executors_get_ports_and_pid_variables_of_their_own(folder):
    planned = plan(folder, executors=3)
    executors = [service for service in planned.services if service.name.startswith("executor")]
    assert [service.pid_variable for service in executors] == [
        "RATCHET_EXECUTOR_PID",
        "RATCHET_EXECUTOR_2_PID",
        "RATCHET_EXECUTOR_3_PID",
    ]
    assert len({service.port for service in executors}) == 3
    assert all(service.environ["RATCHET_EXECUTOR_PORT"] == str(service.port) for service in executors)


@pytest.mark.parametrize("count", [0, -1, 33])
def test_an_impossible_number_of_executors_is_an_error(folder, count):
    with pytest.raises(StackError, match="EXECUTORS"):
        plan(folder, executors=count)


def test_services_get_the_callers_whole_environment_and_the_servers(folder):
    for service in plan(folder, {"SOMETHING": "else", "RATCHET_LEASE": "5s"}).services:
        assert service.environ["SOMETHING"] == "else"
        assert service.environ["RATCHET_LEASE"] == "5s"
        assert service.environ["RATCHET_AMQP_URL"] == URLS.amqp_url


def test_private_ports_leave_the_contracts_ports_alone(folder):
    contract = {kind.port for kind in (API, NOTIFIER, EXECUTOR, RECOVERY)}
    assert not contract & {service.port for service in plan(folder, private_ports=True).services}


def test_the_dashboards_origin_may_open_sockets_unless_the_caller_decides(folder):
    assert "http://127.0.0.1:8080" in plan(folder).settings["RATCHET_ALLOWED_ORIGINS"].split(",")
    chosen = plan(folder, {"RATCHET_ALLOWED_ORIGINS": "https://example.org"})
    assert chosen.settings["RATCHET_ALLOWED_ORIGINS"] == "https://example.org"


def test_the_signing_secret_is_made_once_and_a_given_one_wins(folder):
    assert plan(folder).settings["RATCHET_JWT_SECRET"] == plan(folder).settings["RATCHET_JWT_SECRET"]
    assert plan(folder, {"RATCHET_JWT_SECRET": "given"}).settings["RATCHET_JWT_SECRET"] == "given"


def test_no_secret_is_made_up_where_tokens_come_from_elsewhere(folder):
    assert "RATCHET_JWT_SECRET" not in plan(folder, {"RATCHET_JWT_JWKS_URL": "https://example.org/keys"}).settings


def test_secrets_are_readable_by_their_owner_only(folder):
    first = stack_secrets(folder)
    assert stack_secrets(folder) == first
    assert stat.S_IMODE(folder.secrets_file.stat().st_mode) == 0o600


def test_the_ready_made_login_says_who_and_what_role_and_ends():
    settings = {"RATCHET_JWT_SECRET": "s" * 32, "RATCHET_JWT_AUDIENCE": "ratchet", "RATCHET_JWT_ISSUER": "local"}
    claims = jwt.decode(token_for("sarah", ["user"], settings), OctKey.import_key("s" * 32)).claims
    assert (claims["sub"], claims["roles"], claims["aud"], claims["iss"]) == ("sarah", ["user"], "ratchet", "local")
    assert claims["exp"] > claims["iat"]


def test_the_restart_pause_grows_to_two_seconds_and_stays_there():
    assert [restart_delay(deaths).total_seconds() for deaths in (1, 2, 3, 4, 5, 100)] == [0.2, 0.5, 1, 2, 2, 2]


def test_a_folder_is_used_by_one_run_at_a_time(folder):
    with exclusive(folder), pytest.raises(FolderInUseError), exclusive(folder):
        pass
    with exclusive(folder):
        pass


def test_a_listening_socket_counts_as_taken(folder, monkeypatch):
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(StackError, match="is taken"):
        plan(folder, {"RATCHET_RECOVERY_PORT": str(listener.getsockname()[1])})
