"""The command that makes a token for development."""

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from ratchet.cli.arguments import Age
from ratchet.cli.development_token import DEFAULT_TTL, current_user, sign
from ratchet.cli.environment import environment
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.options import Show, TokenRole
from ratchet.client.errors import InvalidCommand

NO_SHOW = Show()
SHORTEST = timedelta(seconds=1)


async def token(
    *,
    sub: str | None = None,
    role: Annotated[list[TokenRole] | None, Parameter(negative="")] = None,
    ttl: Age = DEFAULT_TTL,
    show: Show = NO_SHOW,
) -> ExitCode:
    """Make a token for development, signed with RATCHET_JWT_SECRET.

    Parameters
    ----------
    sub
        Who: the token's subject (default: you).
    role
        What the token may do; repeat it for more roles (default: admin).
    ttl
        How long it is valid: 90s, 15m, 8h.
    """
    if ttl < SHORTEST:
        raise InvalidCommand("--ttl must be at least one second, like 15m")
    roles = [entry.value for entry in role or [TokenRole.ADMIN]]
    made = sign(environment(), sub or current_user(), roles, ttl=ttl)
    data = {"token": made.token, "sub": made.sub, "roles": list(made.roles), "expiresAt": made.expires_at.isoformat()}
    show.screen().answer(data, Text(made.token))
    return ExitCode.DONE
