"""The superuser of the test run's own Postgres, for what only an administrator can break or make."""

from urllib.parse import urlsplit, urlunsplit

from local_stack.secret_store import stack_secrets
from local_stack.servers import RunningServers


def administrator_url(servers: RunningServers, url: str) -> str:
    """`url` as the superuser; of a server that is named by URL its own user must be able to do what is asked."""
    if "postgres" not in servers.own:
        return url
    return with_login(url, "postgres", stack_secrets(servers.folder).postgres_admin_password)


def with_login(url: str, user: str, password: str) -> str:
    """The same place for somebody else."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))
