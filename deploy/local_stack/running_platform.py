"""The whole platform on running servers: tables made, services started and ready, settings on disk."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from local_stack.environment_file import EnvironmentFile
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.launch import log_tail
from local_stack.logins import token_for
from local_stack.server_urls import ServerUrls
from local_stack.services import (
    API,
    EXECUTOR,
    NOTIFIER,
    RECOVERY,
    ServicePlan,
    Wishes,
    plan_services,
)
from local_stack.supervisor import READY_WITHIN, Supervisor

MIGRATE = "ratchet.adapters.postgres.migrate"


@dataclass(frozen=True, slots=True)
class RunningPlatform:
    """The running services and how to reach them. `environ` is what a tool or another service needs as environment."""

    folder: StackFolder
    plan: ServicePlan
    services: Supervisor
    environ: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """Where the HTTP API and the dashboard are."""
        return self.plan.url_of(API)

    @property
    def notifier_url(self) -> str:
        """Where events are pushed."""
        return self.plan.url_of(NOTIFIER)

    @property
    def executor_url(self) -> str:
        """Where the first executor tells its health and metrics."""
        return self.plan.url_of(EXECUTOR)

    @property
    def recovery_url(self) -> str:
        """Where recovery tells its health and metrics."""
        return self.plan.url_of(RECOVERY)

    def token(self, subject: str, *roles: str) -> str:
        """A bearer token for this person, valid for a week. Needs RATCHET_JWT_SECRET (no JWKS)."""
        return token_for(subject, roles, self.environ)


@contextmanager
def running_platform(
    folder: StackFolder,
    urls: ServerUrls,
    wishes: Wishes | None = None,
    *,
    say: Callable[[str], None] = lambda _line: None,
    ready_within: timedelta = READY_WITHIN,
) -> Iterator[RunningPlatform]:
    """Runs the four services for as long as the context is open. The caller holds the folder and runs the servers.

    Raises StackError when the tables cannot be made or a service does not become ready; then nothing is left running.
    """
    wishes = wishes or Wishes(dict(os.environ))
    plan = plan_services(folder, urls, wishes, say)
    environ = {**wishes.environ, **plan.settings}
    make_tables(folder, environ)
    environment = EnvironmentFile(folder.env_file)
    environment.set(plan.settings)
    try:
        with Supervisor(folder.root, plan.services, environment=environment) as services:
            services.wait_ready(ready_within)
            yield RunningPlatform(folder, plan, services, environ)
    finally:
        environment.remove()


def make_tables(folder: StackFolder, environ: Mapping[str, str]) -> None:
    """Brings the database's tables up to date. Raises StackError with the end of the log. Safe to repeat."""
    log = folder.logs / "migrate.log"
    with log.open("ab") as output:
        result = subprocess.run(
            [sys.executable, "-m", MIGRATE],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        raise StackError(f"The tables could not be made. The end of {log}:\n{log_tail(folder, log.name)}")
