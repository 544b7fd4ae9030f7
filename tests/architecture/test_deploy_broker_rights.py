"""The broker users of deploy/rabbitmq/prepare_broker.py: enough for each service's work, and no more."""

import importlib.util
import re
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ratchet.adapters.rabbitmq import topology
from ratchet.messages import routes

PROJECT = Path(__file__).parent.parent.parent
DELAYS = [timedelta(seconds=2), timedelta(seconds=7)]
QUEUES = {queue.name: queue for queue in topology.queues(["default", "mail"], DELAYS)}
EXCHANGES = {name for name, _ in topology.exchanges(DELAYS)}
RETRY_EXCHANGES = EXCHANGES - {name for name, _ in topology.EXCHANGES}
# How the broker calls the default exchange, which reaches every queue by its name.
DEFAULT = "amq.default"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_broker", PROJECT / "deploy/rabbitmq/prepare_broker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


USERS: dict[str, Any] = {user.name.removeprefix("ratchet_"): user for user in _script().USERS}
OWN_QUEUES = {
    "executor": {name for name in QUEUES if name.startswith("executor.")},
    "recovery": {routes.RECOVERY_COMMANDS, routes.RECOVERY_DEAD_LETTERS},
    "notifier": {routes.NOTIFIER_EVENTS},
    "admin_api": set(),
    "upstream": set(),
}
# Nobody's own, and nobody may declare it; recovery keeps it and the table the same.
CONSUMES_BESIDE = {"recovery": {routes.PARKED}}
PUBLISHES_TO = {
    "executor": {routes.COMMANDS, routes.EVENTS, routes.DEAD, DEFAULT} | RETRY_EXCHANGES,
    "recovery": {routes.COMMANDS, routes.EVENTS, routes.DEAD, DEFAULT} | RETRY_EXCHANGES,
    "notifier": {DEFAULT},
    "admin_api": {routes.COMMANDS},
    "upstream": {routes.COMMANDS},
}


def _allowed(pattern: str, names: set[str]) -> set[str]:
    # The broker looks for the pattern anywhere in the name.
    return {name for name in names if re.search(pattern, name)}


@pytest.mark.parametrize("name", OWN_QUEUES)
def test_a_service_consumes_its_own_queues_and_no_others(name: str) -> None:
    assert _allowed(USERS[name].read, set(QUEUES)) == OWN_QUEUES[name] | CONSUMES_BESIDE.get(name, set())


@pytest.mark.parametrize("name", OWN_QUEUES)
def test_a_service_declares_and_deletes_only_what_is_its_own(name: str) -> None:
    own = OWN_QUEUES[name]
    assert _allowed(USERS[name].configure, set(QUEUES) | EXCHANGES) == own | (RETRY_EXCHANGES & own)


@pytest.mark.parametrize("name", PUBLISHES_TO)
def test_a_service_publishes_only_where_its_work_leads(name: str) -> None:
    assert _allowed(USERS[name].write, EXCHANGES | {DEFAULT}) == PUBLISHES_TO[name]


@pytest.mark.parametrize("name", OWN_QUEUES)
def test_a_service_may_declare_its_own_queues_anew_with_bindings_and_dead_letters(name: str) -> None:
    user = USERS[name]
    for queue in (QUEUES[own] for own in OWN_QUEUES[name]):
        assert re.search(user.configure, queue.name)
        dead_letters = queue.arguments.get("x-dead-letter-exchange")
        if dead_letters is not None:
            assert re.search(user.read, queue.name)
            assert re.search(user.write, dead_letters or DEFAULT)
        for exchange, _ in queue.bindings:
            assert re.search(user.write, queue.name)
            assert re.search(user.read, exchange)


def test_every_pattern_is_anchored_so_that_no_other_name_slips_through() -> None:
    for user in USERS.values():
        for pattern in user.rights.values():
            assert pattern.startswith("^")
            assert not re.search(pattern, "x.ratchet.commands")
            assert not re.search(pattern, "ratchetxcommands")
