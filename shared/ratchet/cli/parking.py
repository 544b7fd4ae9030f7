"""`ratchet parked …`: messages that nobody could act on (admins)."""

import json
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.console import RenderableType
from rich.text import Text

from ratchet.cli.arguments import Cursor, Limit, NeededReason, Reason
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.tables import facts_grid, more
from ratchet.cli.upkeep_tables import parked_table
from ratchet.cli.wording import clock_time, plain, printable
from ratchet.client import ParkedMessage, ParkedSettled

NO_CALLER = Caller()

ParkedId = Annotated[UUID, Parameter(help="The message; `ratchet parked list` shows them.")]
Resolved = Annotated[
    bool, Parameter(negative="", help="Those that were replayed or discarded, instead of the open ones.")
]


_OUTCOMES = {
    "carried-out": ("Sent again, and carried out.", ExitCode.DONE),
    "sent": ("Sent again.", ExitCode.DONE),
    "parked-again": ("Sent again, and parked again (ratchet parked list):", ExitCode.FAILED),
    None: (
        "Sent again. Nothing shows yet that it was carried out; it will stand in: ratchet parked list --resolved",
        ExitCode.UNKNOWN,
    ),
}


async def list_parked(
    *, resolved: Resolved = False, limit: Limit = 50, cursor: Cursor = None, caller: Caller = NO_CALLER
) -> ExitCode:
    """List parked messages, the longest parked first."""
    async with open_client(caller) as client:
        page = await client.parked.list(resolved=resolved, cursor=cursor, limit=limit)
    hint = Text("What is in one: ratchet parked show ID", style="dim")
    caller.screen().answer(page.to_json(), parked_table(page.items), more(page), hint)
    return ExitCode.DONE


async def show(parked_id: ParkedId, /, *, caller: Caller = NO_CALLER) -> ExitCode:
    """Show one parked message with its headers and its body."""
    screen = caller.screen()
    async with open_client(caller) as client:
        found = await client.parked.find(parked_id)
    if found is None:
        screen.remark(Text("No parked message has this id. See which there are: ratchet parked list", style="yellow"))
        return ExitCode.REFUSED
    screen.answer(found.to_json(), *_card(found))
    return ExitCode.DONE


async def replay(parked_id: ParkedId, /, *, reason: Reason = None, caller: Caller = NO_CALLER) -> ExitCode:
    """Send a parked message again, to where it came from, and say whether that helped."""
    async with open_client(caller) as client:
        settled = await client.parked.replay(parked_id, reason=reason)
    line, code = _OUTCOMES.get(settled.outcome, _OUTCOMES[None])
    _tell(settled, caller, line if settled.reason is None else f"{line} {settled.reason}")
    return code


async def discard(parked_id: ParkedId, /, *, reason: NeededReason, caller: Caller = NO_CALLER) -> ExitCode:
    """Give up a parked message; it stays on record with the reason."""
    async with open_client(caller) as client:
        settled = await client.parked.discard(parked_id, reason=reason)
    _tell(settled, caller, "Discarded. It stays on record in: ratchet parked list --resolved")
    return ExitCode.DONE


def _tell(settled: ParkedSettled, caller: Caller, line: str) -> None:
    caller.screen().answer(settled.to_json(), Text(line))


def _card(message: ParkedMessage) -> list[RenderableType]:
    facts = [
        ("message", plain(message.id)),
        ("reason", plain(message.reason, "red")),
        ("parked", Text.assemble(clock_time(message.parked_at), " by ", plain(message.parked_by))),
        ("sent to", plain(f"{message.exchange} {message.routing_key}")),
        ("type", plain(message.type)),
        ("message id", plain(message.message_id)),
        ("correlation id", plain(message.correlation_id)),
        *((name, plain(value)) for name, value in message.headers.items()),
    ]
    if message.resolution is not None:
        facts.append(("since then", Text.assemble(plain(message.resolution), " by ", plain(message.resolved_by))))
        facts.append(("why", plain(message.resolution_reason)))
    if message.outcome is not None:
        facts.append(("what came of it", plain(message.outcome)))
    return [facts_grid(facts), Text(), *_body(message), *_next_steps(message)]


def _body(message: ParkedMessage) -> list[Text]:
    if not message.body_is_text:
        return [Text("The body is no text; in base64:", style="dim"), printable(message.body)]
    try:
        shown = json.dumps(json.loads(message.body), indent=2, ensure_ascii=False)
    except ValueError:
        shown = message.body
    return [printable(shown)]


def _next_steps(message: ParkedMessage) -> list[Text]:
    if message.resolution is not None:
        return []
    steps = [("discard it", f"discard {message.id} --reason …")]
    if message.body_is_text:
        steps.insert(0, ("send it again", f"replay {message.id}"))
    return [Text(), *(Text.assemble((f"{what:<16}", "dim"), f"ratchet parked {command}") for what, command in steps)]
