"""An error in one or two lines: what happened, and what to do next."""

import sys

from rich.text import Text

from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.screen import console_on
from ratchet.client.errors import (
    InvalidCommand,
    NotConfigured,
    NotConfirmed,
    NotRecovered,
    NotRouted,
    Problem,
    ServerUnreachable,
    WaitTimeout,
)
from ratchet.domain.errors import RatchetError
from ratchet.domain.failure import sanitise

# What the problem is about tells more than its status.
_HINTS_BY_TYPE = {
    "unknown-recovery": "See which there are: ratchet history ID, or ratchet bulk list",
    "unknown-checkpoint": "See which there are: ratchet checkpoints ID",
    "not-found": "See which there are: ratchet parked list, or ratchet list",
    "already-settled": "See what became of it: ratchet bulk list, or ratchet parked list --resolved",
    "not-replayable": "If it is of no use: ratchet parked discard ID --reason …",
    "damaged-checkpoint": "See which are intact: ratchet checkpoints ID",
}

_HINTS = {
    401: "The token is not accepted: it may be too old or from another platform. For development: ratchet token",
    403: "Ask somebody who has that, or, in development, as somebody else: --as NAME --role ROLE",
    404: "See which there are: ratchet list",
    409: "See where it stands: ratchet status ID",
}


def tell(error: RatchetError) -> ExitCode:
    """Write the error to standard error; the exit code that fits it."""
    console = console_on(sys.stderr)
    lines = [Text.assemble(("error: ", "bold red"), sanitise(str(error)))]
    if isinstance(error, Problem):
        hint = _HINTS_BY_TYPE.get(error.type.rpartition(":")[2]) or _HINTS.get(error.status)
        if hint:
            lines.append(Text(hint, style="dim"))
        if error.correlation_id:
            lines.append(Text(f"In the logs: correlation id {sanitise(error.correlation_id)}", style="dim"))
    for line in lines:
        console.print(line, soft_wrap=True)
    return exit_code(error)


def exit_code(error: RatchetError) -> ExitCode:
    """What the shell is told about an error."""
    match error:
        case NotConfigured() | InvalidCommand():
            return ExitCode.USAGE
        case ServerUnreachable() | NotConfirmed() | NotRouted():
            return ExitCode.UNREACHABLE
        case WaitTimeout() | NotRecovered():
            return ExitCode.UNKNOWN
        case Problem():
            return _problem_code(error)
        case _:
            return ExitCode.FAILED


def _problem_code(problem: Problem) -> ExitCode:
    if problem.status < 500:
        return ExitCode.REFUSED
    # A recovery that failed is an answer, not an outage.
    return ExitCode.FAILED if problem.extra.get("success") is False else ExitCode.UNREACHABLE
