"""The private servers come up, keep their data, survive being killed, and leave no process behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import aio_pika
import asyncpg
import psutil
import pytest
import redis
from local_stack.databases import create_database, drop_database
from local_stack.folder import FolderInUseError, StackFolder, exclusive
from local_stack.postgres_place import outside_home, remove_outside_home
from local_stack.processes import MARK_VARIABLE, ProcessLedger, end_leftovers, is_alive, wait_until_gone
from local_stack.servers import own_servers, running_servers

NATIVE = {**os.environ, "RATCHET_SERVERS": "native"}
for given in ("RATCHET_DATABASE_URL", "RATCHET_AMQP_URL", "RATCHET_REDIS_URL"):
    NATIVE.pop(given, None)


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that other users may pass through (pytest's own may not be), gone without a trace afterwards."""
    path = Path(tempfile.mkdtemp(prefix="ratchet-test-"))
    path.chmod(0o711)
    yield path / "stack"
    for stack in path.iterdir():
        folder = StackFolder.at(stack)
        with exclusive(folder):
            end_leftovers(folder)
        remove_outside_home(folder)
    shutil.rmtree(path)


def living(root: Path) -> list[str]:
    """Processes of this folder that are still there."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK_VARIABLE) == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
        except psutil.Error:
            continue
    return found


def eventually(holds: Callable[[], bool], within: float = 5) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_postgres_keeps_its_data_over_a_stop_and_a_kill(root):
    with running_servers(root, wanted=["postgres"], environ=NATIVE) as servers:
        asyncio.run(fetch(servers.database_url, "CREATE TABLE kept AS SELECT 42 AS answer"))
        servers["postgres"].kill()
        assert servers["postgres"].pid is None
        servers["postgres"].start()
        assert asyncio.run(fetch(servers.database_url, "SELECT answer FROM kept")) == 42
    with running_servers(root, wanted=["postgres"], environ=NATIVE) as again:
        assert again.database_url == servers.database_url
        assert asyncio.run(fetch(again.database_url, "SELECT answer FROM kept")) == 42
    with own_servers(root, wanted=["postgres"], environ=NATIVE, fresh=True) as fresh:
        assert asyncio.run(fetch(fresh.database_url, "SELECT to_regclass('kept')")) is None


def test_postgres_is_as_durable_as_a_real_one_and_its_role_is_no_superuser(root):
    with running_servers(root, wanted=["postgres"], environ=NATIVE) as servers:
        for setting in ("fsync", "synchronous_commit"):
            assert asyncio.run(fetch(servers.database_url, f"SHOW {setting}")) == "on"
        role = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        assert asyncio.run(fetch(servers.database_url, role)) is False


def test_a_database_can_be_copied_from_a_template_and_dropped(root):
    with running_servers(root, wanted=["postgres"], environ=NATIVE) as servers:
        template = create_database(servers.database_url, "template_one")
        asyncio.run(fetch(template, "CREATE TABLE copied AS SELECT 7 AS seven"))
        copy = create_database(servers.database_url, "copy_one", template="template_one")
        assert asyncio.run(fetch(copy, "SELECT seven FROM copied")) == 7
        drop_database(servers.database_url, "copy_one")
        drop_database(servers.database_url, "copy_one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_root_keeps_postgres_outside_a_folder_that_its_user_cannot_reach_and_loosens_nothing():
    closed = Path(tempfile.mkdtemp(prefix="ratchet-test-"))
    folder = StackFolder.at(closed / "stack")
    try:
        with running_servers(folder.root, wanted=["postgres"], environ=NATIVE) as servers:
            assert asyncio.run(fetch(servers.database_url, "SELECT 1")) == 1
            assert (outside_home(folder) / "data" / "PG_VERSION").exists()
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        remove_outside_home(folder)
        shutil.rmtree(closed)
    assert not outside_home(folder).exists()


def test_rabbitmq_keeps_messages_over_a_kill_and_leaves_no_process(root):
    async def publish(url: str) -> None:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
            message = aio_pika.Message(b"still here", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, "kept")

    async def take(url: str) -> bytes:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("kept", durable=True, passive=True)
            message = await queue.get(timeout=5)
            await message.ack()
            return message.body

    with running_servers(root, wanted=["rabbitmq"], environ=NATIVE) as servers:
        [url] = servers.create_vhosts(["spare"])
        asyncio.run(publish(url))
        # The broker writes a new quorum queue's registration behind, by up to half a second; killed before
        # that, it would never elect a leader for this queue again.
        registrations = list((root / "data" / "rabbitmq").rglob("names.dets"))
        assert eventually(lambda: any(b"kept" in file.read_bytes() for file in registrations))
        servers["rabbitmq"].kill()
        servers["rabbitmq"].start()
        assert asyncio.run(take(url)) == b"still here"
    assert living(root) == []


def test_valkey_asks_for_a_password_and_answers_again_after_a_kill(root):
    with running_servers(root, wanted=["valkey"], environ=NATIVE) as servers:
        servers["valkey"].kill()
        servers["valkey"].start()
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
        without = servers.redis_url.replace(servers.redis_url.split("@")[0].removeprefix("redis://") + "@", "")
        with redis.Redis.from_url(without) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_a_folder_in_use_is_refused_or_passed_by(root):
    with running_servers(root, wanted=["valkey"], environ=NATIVE):
        with pytest.raises(FolderInUseError), running_servers(root, wanted=["valkey"], environ=NATIVE):
            pass
        with own_servers(root, wanted=["valkey"], environ=NATIVE) as second:
            assert second.folder.root == root.with_name("stack-2")


HOLD = """
import sys
from pathlib import Path
from local_stack.servers import running_servers
with running_servers(Path(sys.argv[1]), wanted=["postgres", "valkey"]) as servers:
    print("up", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_left_behind_is_ended_by_the_next_one(root):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)],
        env=NATIVE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder.stdin, holder.stdout as output:
        assert output.readline() == "up\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    left = ProcessLedger(StackFolder.at(root)).read()
    assert [record.name for record in left if is_alive(record)] == ["postgres", "valkey"]
    with running_servers(root, wanted=["valkey"], environ=NATIVE) as servers:
        assert wait_until_gone(left, timedelta()) == []
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
