"""From the environment and the options to a client."""

from collections.abc import Mapping

from ratchet.cli.development_token import RenewingToken, current_user
from ratchet.cli.environment import environment
from ratchet.cli.options import Caller
from ratchet.client import Client, TokenSource
from ratchet.client.errors import NotConfigured


def open_client(caller: Caller) -> Client:
    """A client that asks as `caller`.

    Raises:
        NotConfigured: there is neither a token nor a secret to make one.
    """
    environ = environment()
    return Client.from_env(environ, token=token_source(environ, caller))


def token_source(environ: Mapping[str, str], caller: Caller) -> TokenSource | None:
    """How the caller's tokens are made; None takes `RATCHET_TOKEN` as it is."""
    if environ.get("RATCHET_TOKEN") and caller.acting_as is None:
        return None
    if caller.acting_as is not None and not environ.get("RATCHET_JWT_SECRET"):
        raise NotConfigured("--as makes a development token and needs RATCHET_JWT_SECRET, which is not set")
    return RenewingToken(environ, caller.acting_as or current_user(), [caller.role.value])
