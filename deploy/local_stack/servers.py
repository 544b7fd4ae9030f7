"""Postgres, RabbitMQ and Valkey for one folder: named by URL, else from Docker, else native processes."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import FolderInUseError, StackFolder, exclusive
from local_stack.postgres_place import outside_home
from local_stack.processes import end_leftovers
from local_stack.provision import Say, provide_servers
from local_stack.server_handles import RunningServers
from local_stack.server_urls import ALL, VARIABLES, ServerUrls

__all__ = ["RunningServers", "ServerUrls", "own_servers", "running_servers", "started_servers"]

NEIGHBOURS = 20


def silent(_line: str) -> None:
    """Takes a progress line and shows it to nobody."""


@contextmanager
def running_servers(
    root: Path, *, wanted: Sequence[str] = ALL, environ: Mapping[str, str] | None = None, say: Say = silent
) -> Iterator[RunningServers]:
    """Provides the servers for as long as the context is open, then ends those that it started.

    The data in `root` is kept for the next time. Servers that are not `wanted` get an empty URL.
    Raises FolderInUseError when another run uses `root`, and StackError when a server cannot be provided.
    """
    folder = StackFolder.at(root)
    with exclusive(folder):
        end_leftovers(folder)
        with started_servers(folder, wanted=wanted, environ=environ, say=say) as servers:
            yield servers


@contextmanager
def own_servers(
    root: Path,
    *,
    wanted: Sequence[str] = ALL,
    environ: Mapping[str, str] | None = None,
    say: Say = silent,
    fresh: bool = False,
) -> Iterator[RunningServers]:
    """Like `running_servers`, but when another run uses `root` it takes `<root>-2`, `<root>-3` and so on.

    `fresh` deletes the data of earlier runs first.
    """
    for number in range(1, NEIGHBOURS + 1):
        folder = StackFolder.at(root if number == 1 else root.with_name(f"{root.name}-{number}"))
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive(folder))
            except FolderInUseError:
                continue
            end_leftovers(folder)
            if fresh:
                delete_data(folder)
            yield stack.enter_context(started_servers(folder, wanted=wanted, environ=environ, say=say))
            return
    raise StackError(f"{root} and {NEIGHBOURS - 1} folders beside it are all in use by other runs.")


def delete_data(folder: StackFolder) -> None:
    """Deletes what the servers keep on this machine's disk. The caller holds the folder and no server runs in it."""
    for path in folder.data.iterdir():
        shutil.rmtree(path)
    shutil.rmtree(outside_home(folder) / "data", ignore_errors=True)


@contextmanager
def started_servers(
    folder: StackFolder, *, wanted: Sequence[str] = ALL, environ: Mapping[str, str] | None = None, say: Say = silent
) -> Iterator[RunningServers]:
    """Like `running_servers`, for a caller that holds the folder already."""
    given = os.environ if environ is None else environ
    urls = {name: given.get(VARIABLES[name], "") for name in ALL}
    missing = [name for name in ALL if name in wanted and not urls[name]]
    servers = (
        provide_servers(folder, missing, given, say)
        if missing
        else RunningServers(folder, ServerUrls("", "", ""), "url")
    )
    found = dict(zip(ALL, (servers.database_url, servers.amqp_url, servers.redis_url), strict=True))
    servers.urls = ServerUrls(*(urls[name] or found[name] for name in ALL))
    try:
        yield servers
    finally:
        servers.stop()
