"""The fault matrix: what can break, and how it is broken."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from ratchet.adapters.rabbitmq.topology import DELIVERY_LIMIT

from tests.chaos.field import EXECUTORS, LEASE, SERVICES, VHOST, Field
from tests.chaos.under_fire import BLOCKED_SECONDS, HUNG_SECONDS, MUD, TRAP
from tests.harness.waiting import until

OUTAGE = 6.0
"""Longer than a lease: whoever waits it out has lost what it held."""

LOCKED_OUT = 15.0

TAKEN_WITHIN = timedelta(seconds=20)

Strike = Callable[[Field], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the matrix. `pause` is what lies between two strikes, in seconds."""

    name: str
    what: str
    strike: Strike
    pause: float


def _kill_executor(field: Field) -> None:
    field.kill(field.any_executor())


def _freeze_executor(field: Field) -> None:
    field.freeze(field.platform.services.pid_of(field.any_executor()), LEASE + 2)


def _block_loop(field: Field) -> None:
    """For longer than a lease, and with what the broker does when no heartbeat comes."""
    trap = Path(f"{field.effects}{TRAP}")
    trap.touch()
    until(trap.exists, lambda there: not there, what="a step to block its executor's loop", within=TAKEN_WITHIN)
    time.sleep(BLOCKED_SECONDS / 2)
    field.control_broker("close_all_connections", "a fault, on purpose")
    time.sleep(BLOCKED_SECONDS / 2)


def _hang_threads(field: Field) -> None:
    mud = Path(f"{field.effects}{MUD}")
    mud.touch()
    try:
        time.sleep(0.5)
    finally:
        mud.unlink()
    time.sleep(HUNG_SECONDS)


def _stop_executor(field: Field) -> None:
    field.restart(field.any_executor())


def _freeze_service(name: str) -> Strike:
    return lambda field: field.freeze(field.platform.services.pid_of(name), OUTAGE)


def _kill(*services: str) -> Strike:
    return lambda field: field.kill(*services)


def _crash(server: str) -> Strike:
    return lambda field: field.crash_server(server)


def _freeze(server: str) -> Strike:
    return lambda field: field.freeze(field.servers[server].pid, OUTAGE)


def _close_connections(field: Field) -> None:
    field.control_broker("close_all_connections", "a fault, on purpose")


def _raise_alarm(field: Field) -> None:
    field.control_broker("set_vm_memory_high_watermark", "0.00001")
    try:
        time.sleep(OUTAGE)
    finally:
        field.control_broker("set_vm_memory_high_watermark", "0.6")


def _purge_retries(field: Field) -> None:
    """Only queues with internal messages: a start that was lost before an executor saw it is nobody's to restore."""
    for line in field.control_broker("list_queues", "-p", VHOST, "--no-table-headers", "name").split():
        if line.removeprefix("executor.retry.").isdecimal():
            field.control_broker("purge_queue", "-p", VHOST, line)


def _wipe_redis(field: Field) -> None:
    field.flush_redis()
    field.crash_server("valkey")


def _cut_network(field: Field) -> None:
    field.network.cut()


def _slow_network(field: Field) -> None:
    field.network.set_delay(field.chance.uniform(0.02, 0.1))
    try:
        time.sleep(OUTAGE)
    finally:
        field.network.set_delay(0)


def _refuse_writes(field: Field) -> None:
    """What a failover looks like to sessions that stay open."""
    with field.administering() as administrator:
        administrator.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        try:
            time.sleep(OUTAGE)
        finally:
            administrator.run(
                "SET default_transaction_read_only = off",
                "ALTER SYSTEM RESET default_transaction_read_only",
                "SELECT pg_reload_conf()",
            )


def _refuse_login(field: Field) -> None:
    """As after a password was changed everywhere but here: open sessions end, and new ones are refused."""
    role = urlsplit(field.direct.database_url).username
    with field.administering() as administrator:
        try:
            administrator.run(
                f'ALTER ROLE "{role}" NOLOGIN',
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
            )
            time.sleep(LOCKED_OUT)
        finally:
            administrator.run(f'ALTER ROLE "{role}" LOGIN')


def _hide(server: str) -> Strike:
    def strike(field: Field) -> None:
        field.network.swallow(server, True)
        try:
            time.sleep(OUTAGE)
        finally:
            field.network.swallow(server, False)

    return strike


def _lock_and_kill(field: Field) -> None:
    """Executors that die again and again with commands that they could not take up: the broker gives those up."""
    with field.administering() as administrator:
        administrator.run("BEGIN", "LOCK TABLE workflow_instances IN ACCESS EXCLUSIVE MODE")
        try:
            for _ in range(DELIVERY_LIMIT + 1):
                field.kill(*EXECUTORS)
                field.settle(*EXECUTORS)
        finally:
            administrator.run("ROLLBACK")


def _release_another(field: Field) -> None:
    """Executors with and without the workflow share the pool for a while."""
    name = field.any_executor()
    field.release(name, RATCHET_WORKFLOWS="tests.chaos.another_release")
    try:
        time.sleep(LEASE)
    finally:
        field.release(name)


def _anything(field: Field) -> None:
    field.chance.choice(SINGLE).strike(field)


SINGLE = (
    Fault("executor-killed", "an executor is killed (SIGKILL)", _kill_executor, 2),
    Fault("executor-frozen", "an executor stands still past its lease, then goes on", _freeze_executor, 2),
    Fault("loop-blocked", "a step blocks its executor's event loop past the lease", _block_loop, 2),
    Fault("threads-hang", "plain steps hang past their time limit", _hang_threads, 1),
    Fault("executor-stopped", "an executor ends in good order (SIGTERM)", _stop_executor, 2),
    Fault("recovery-killed", "recovery is killed", _kill("recovery"), 2),
    Fault("recovery-frozen", "recovery stands still, then goes on", _freeze_service("recovery"), 2),
    Fault("notifier-killed", "the notifier is killed", _kill("notifier"), 2),
    Fault("notifier-frozen", "the notifier stands still, then goes on", _freeze_service("notifier"), 2),
    Fault("api-killed", "the admin API is killed", _kill("admin-api"), 2),
    Fault("all-killed", "all services are killed at once", _kill(*SERVICES), 6),
    Fault("broker-killed", "RabbitMQ is killed and started", _crash("rabbitmq"), 6),
    Fault("broker-frozen", "RabbitMQ stands still", _freeze("rabbitmq"), 4),
    Fault("broker-alarm", "RabbitMQ's memory alarm goes off", _raise_alarm, 3),
    Fault("connections-closed", "RabbitMQ closes every connection", _close_connections, 2),
    Fault("retries-purged", "the delay queues lose their messages", _purge_retries, 1),
    Fault("database-killed", "Postgres is killed and started", _crash("postgres"), 4),
    Fault("database-frozen", "Postgres stands still", _freeze("postgres"), 4),
    Fault("database-read-only", "Postgres takes no writes", _refuse_writes, 3),
    Fault("login-refused", "Postgres ends every session and refuses the login", _refuse_login, 6),
    Fault("redis-wiped", "Valkey is emptied, killed and started", _wipe_redis, 2),
    Fault("delivery-limit", "executors are killed again and again while a table is locked", _lock_and_kill, 6),
    Fault("rolling-release", "executors with and without the workflow share its pool", _release_another, 2),
    Fault("network-cut", "every connection to every server is reset", _cut_network, 2),
    Fault("network-slow", "every packet takes 20 to 100 ms longer", _slow_network, 3),
    Fault("database-unreachable", "nothing gets through to Postgres", _hide("postgres"), 4),
    Fault("broker-unreachable", "nothing gets through to RabbitMQ", _hide("rabbitmq"), 4),
)
FAULTS = (*SINGLE, Fault("anything", "one of the above after the other, by chance", _anything, 1))
BY_NAME = {fault.name: fault for fault in FAULTS}
