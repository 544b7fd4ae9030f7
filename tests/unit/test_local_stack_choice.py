"""Where the servers come from: a URL first, then Docker, then native processes, else a message that helps."""

import json

import pytest
from local_stack import provision, rabbitmq_install
from local_stack.databases import create_database
from local_stack.docker_servers import DockerServer, Image
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.rabbitmq import vhost_definitions
from local_stack.servers import running_servers

GIVEN = {
    "RATCHET_DATABASE_URL": "postgresql://somewhere/db",
    "RATCHET_AMQP_URL": "amqp://somewhere/",
    "RATCHET_REDIS_URL": "redis://somewhere/0",
}


def test_servers_named_by_url_are_used_and_nothing_is_started(tmp_path):
    with running_servers(tmp_path / "stack", environ=GIVEN) as servers:
        assert servers.urls.as_environ() == GIVEN
        assert servers.own == {}


def test_a_server_named_by_url_can_be_neither_stopped_nor_given_virtual_hosts(tmp_path):
    with running_servers(tmp_path / "stack", environ=GIVEN) as servers:
        with pytest.raises(StackError, match="RATCHET_DATABASE_URL"):
            servers["postgres"].stop()
        with pytest.raises(StackError, match="RATCHET_AMQP_URL"):
            servers.create_vhosts(["one"])


def test_docker_that_was_asked_for_and_does_not_answer_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(provision, "docker_client", lambda: None)
    with (
        pytest.raises(StackError, match="no Docker engine answers") as caught,
        running_servers(tmp_path / "stack", environ={"RATCHET_SERVERS": "docker"}),
    ):
        pass
    assert caught.value.exit_code == 2


def test_an_unknown_way_is_an_error(tmp_path):
    with (
        pytest.raises(StackError, match="RATCHET_SERVERS"),
        running_servers(tmp_path / "stack", environ={"RATCHET_SERVERS": "podman"}),
    ):
        pass


@pytest.mark.parametrize(("user", "apt"), [(1000, "/usr/bin/apt-get"), (0, None)])
def test_without_rabbitmq_and_a_way_to_install_it_one_message_names_the_ways_out(monkeypatch, user, apt):
    monkeypatch.setattr(rabbitmq_install, "find_scripts", lambda: None)
    monkeypatch.setattr(rabbitmq_install.os, "geteuid", lambda: user)
    monkeypatch.setattr(rabbitmq_install.shutil, "which", lambda _name: apt)
    with pytest.raises(StackError) as caught:
        rabbitmq_install.provide_rabbitmq(print)
    assert caught.value.exit_code == 2
    assert "RATCHET_AMQP_URL" in str(caught.value)
    assert "apt-get install rabbitmq-server" in str(caught.value)


def test_while_a_package_is_installed_no_service_is_started(tmp_path, monkeypatch):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(rabbitmq_install, "POLICY", policy)
    with rabbitmq_install.no_service_starts():
        assert "exit 101" in policy.read_text()
    assert not policy.exists()


def test_a_policy_that_is_there_already_is_left_as_it_is(tmp_path, monkeypatch):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("mine")
    monkeypatch.setattr(rabbitmq_install, "POLICY", policy)
    with rabbitmq_install.no_service_starts():
        pass
    assert policy.read_text() == "mine"


def test_every_virtual_host_is_made_with_all_rights_for_the_stacks_user():
    definitions = json.loads(vhost_definitions(["a", "b"]))
    assert [each["name"] for each in definitions["vhosts"]] == ["a", "b"]
    assert {(each["user"], each["vhost"], each["write"]) for each in definitions["permissions"]} == {
        ("ratchet", "a", ".*"),
        ("ratchet", "b", ".*"),
    }


def test_a_database_name_that_needs_quoting_is_refused():
    with pytest.raises(ValueError, match="not a database name"):
        create_database("postgresql://somewhere/db", 'x"; DROP DATABASE ratchet; --')


class FakeContainer:
    """Stands in for a container of the `docker` package."""

    def __init__(self):
        self.calls = []
        self.attrs = {"State": {"Pid": 4711}}

    def reload(self):
        pass

    def start(self):
        self.calls.append("start")
        self.attrs["State"]["Pid"] = 4712

    def kill(self):
        self.calls.append("kill")
        self.attrs["State"]["Pid"] = 0

    def stop(self, timeout):
        self.calls.append(f"stop within {timeout}")

    def remove(self, *, force):
        self.calls.append(f"remove {force}")

    def exec_run(self, command):
        self.calls.append(" ".join(command))
        return 0, b""


class FakeEngine:
    """Stands in for a client of the `docker` package."""

    def __init__(self, leftover=None):
        self.containers = self
        self.container = FakeContainer()
        self.leftovers = [leftover] if leftover else []
        self.asked = {}

    def list(self, **_filters):
        return self.leftovers

    def run(self, image, **asked):
        self.asked = {"image": image, **asked}
        return self.container


class ReadyProbe:
    """A server that answers at once."""

    name = "rabbitmq"
    start_within = None

    def __init__(self):
        self.set_up = 0

    def answers(self):
        return True

    def first_use(self):
        self.set_up += 1


@pytest.fixture
def image():
    return Image("rabbitmq:4", 5672, "/var/lib/rabbitmq", {"A": "1"})


def docker_server(tmp_path, engine, image, probe=None):
    probe = probe or ReadyProbe()
    probe.start_within = provision.ValkeyRecipe.start_within
    return DockerServer(probe, StackFolder.at(tmp_path / "stack"), image, port=21_000, client=engine)


def test_a_container_listens_on_the_loopback_address_and_keeps_its_data_in_a_volume(tmp_path, image):
    engine = FakeEngine()
    docker_server(tmp_path, engine, image).start()
    assert engine.asked["ports"] == {"5672/tcp": ("127.0.0.1", 21_000)}
    assert engine.asked["volumes"] == {engine.asked["name"]: {"bind": "/var/lib/rabbitmq", "mode": "rw"}}


def test_a_killed_container_is_started_again_and_a_stopped_one_removed(tmp_path, image):
    engine = FakeEngine()
    server = docker_server(tmp_path, engine, image)
    server.start()
    assert server.pid == 4711
    server.kill()
    assert server.pid is None
    server.start()
    assert server.pid == 4712
    server.stop()
    assert server.pid is None
    assert engine.container.calls == ["kill", "start", "stop within 20", "remove True"]


def test_a_container_that_a_killed_run_left_is_replaced(tmp_path, image):
    leftover = FakeContainer()
    docker_server(tmp_path, FakeEngine(leftover), image).start()
    assert leftover.calls == ["remove True"]


def test_a_server_in_a_container_is_set_up_once_it_answers(tmp_path, image):
    probe = ReadyProbe()
    docker_server(tmp_path, FakeEngine(), image, probe).start()
    assert probe.set_up == 1


def test_virtual_hosts_are_made_inside_the_container(tmp_path, image):
    engine = FakeEngine()
    server = docker_server(tmp_path, engine, image)
    server.start()
    server.make_vhosts(["one"], "ratchet")
    assert engine.container.calls == [
        "rabbitmqctl add_vhost one",
        "rabbitmqctl set_permissions -p one ratchet .* .* .*",
    ]
