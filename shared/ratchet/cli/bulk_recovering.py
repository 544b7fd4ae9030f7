"""`ratchet bulk …`: recover many failed workflows at once, canaries first (admins)."""

import asyncio
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import RenderableType
from rich.text import Text

from ratchet.cli.arguments import Cursor, Limit, NeededReason, Patience, Watch
from ratchet.cli.bulk_view import BulkView, bulk_card
from ratchet.cli.consent import agreed
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.failed_options import FailedOptions
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.screen import Screen
from ratchet.cli.tables import more
from ratchet.cli.upkeep_tables import bulk_table, filter_text, groups_table, items_table
from ratchet.client import BulkItem, BulkProgress, BulkRecovery, Client
from ratchet.client.errors import InvalidCommand
from ratchet.client.filters import criteria_of
from ratchet.domain.bulk_recovery import DEFAULT_CANARIES, MAX_CANARIES, BulkState, ItemOutcome

NO_CALLER = Caller()
NO_CHOICE = FailedOptions()

LOOK_EVERY = timedelta(seconds=1)
TROUBLES_SHOWN = 20

BulkId = Annotated[UUID, Parameter(help="The bulk recovery; `ratchet bulk list` shows them.")]
Canary = Annotated[
    int,
    Parameter(
        validator=Number(gte=0, lte=MAX_CANARIES),
        help="How many go first; nothing else begins before all of them are verified, and a relapse stops it. 0: none.",
    ),
]

Rate = Annotated[
    int | None, Parameter(validator=Number(gte=1, lte=1000), help="At most so many in a second, if not fewer anyway.")
]


async def preview(*, chosen: FailedOptions = NO_CHOICE, caller: Caller = NO_CALLER) -> ExitCode:
    """Show how many failed workflows would be recovered, and by what they failed. Nothing is done."""
    async with open_client(caller) as client:
        seen = await client.bulk.preview(chosen.filter())
    criteria = criteria_of(chosen.filter())
    lines: list[RenderableType] = [Text.assemble((f"{seen.total} workflows", "bold"), ": ", filter_text(criteria))]
    if seen.total:
        lines.append(groups_table(seen.groups))
        command = " ".join(["ratchet bulk start", *(chosen.words() or ["--all"]), f"--expect {seen.total} --reason …"])
        lines.append(Text(f"Begin it: {command}", style="dim"))
    caller.screen().answer({"filter": criteria, **seen.to_json()}, *lines)
    return ExitCode.DONE


async def start(
    *,
    reason: NeededReason,
    chosen: FailedOptions = NO_CHOICE,
    workflow: Annotated[list[UUID] | None, Parameter(negative="")] = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    canary: Canary = DEFAULT_CANARIES,
    rate: Rate = None,
    expect: int | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    watch: Watch = False,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Recover every failed workflow that is meant; which ones they are is settled now.

    Parameters
    ----------
    workflow
        These very workflows instead of a filter; give it once for each.
    everything
        Every failed workflow, where no filter is given.
    expect
        How many they are, as `ratchet bulk preview` said; with any other number nothing is begun.
    yes
        Do not ask, however many they are.
    """
    screen, filters, ids = caller.screen(), chosen.filter(), tuple(workflow or ())
    if [bool(chosen.words()), bool(ids), everything].count(True) != 1:
        raise InvalidCommand("Say which are meant: options that choose some, --workflow ID (once for each), or --all")
    async with open_client(caller) as client:
        total = len(set(ids)) or (await client.bulk.preview(filters)).total
        if total == 0:
            screen.remark(Text("No failed workflow matches, so nothing was begun.", style="yellow"))
            return ExitCode.REFUSED
        if not await agreed(total, expect=expect, yes=yes, screen=screen):
            screen.remark(Text("That is another number, so nothing was begun.", style="yellow"))
            return ExitCode.REFUSED
        # Compared again where the selection is settled; with --yes it is whatever it is by then.
        expected = None if yes and expect is None and not everything else total
        begun = await client.bulk.start(
            filters,
            reason=reason,
            workflow_ids=ids,
            everything=everything,
            expected=expected,
            canary=canary,
            rate=rate,
        )
        if watch:
            return await _watch(client, begun.recovery_id, screen)
        hint = Text(f"Follow it: ratchet bulk watch {begun.recovery_id}", style="dim")
        screen.answer(begun.to_json(), Text(f"Begun for {begun.total} workflows: {begun.recovery_id}"), hint)
    return ExitCode.DONE


async def watch(recovery_id: BulkId, /, *, timeout: Patience = None, caller: Caller = NO_CALLER) -> ExitCode:
    """Follow a bulk recovery until it ends.

    The exit code says how: 0 everything recovered, 1 stopped or some could not be, 6 cancelled, 5 still going.
    """
    async with open_client(caller) as client:
        return await _watch(client, recovery_id, caller.screen(), timeout)


async def status(
    recovery_id: BulkId,
    /,
    *,
    outcome: ItemOutcome | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """Show how far a bulk recovery has come, and what became of each workflow.

    Parameters
    ----------
    outcome
        Only workflows with this outcome.
    """
    async with open_client(caller) as client:
        seen = await client.bulk.get(recovery_id, outcome=outcome, cursor=cursor, limit=limit)
    lines = [bulk_card(seen), items_table(seen.items), more(seen), *_next_steps(seen)]
    caller.screen().answer(seen.to_json(), *lines)
    return ExitCode.DONE


async def list_bulk(*, limit: Limit = 50, cursor: Cursor = None, caller: Caller = NO_CALLER) -> ExitCode:
    """List bulk recoveries, newest first."""
    async with open_client(caller) as client:
        page = await client.bulk.list(cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), bulk_table(page.items), more(page))
    return ExitCode.DONE


async def cancel(recovery_id: BulkId, /, *, reason: NeededReason, caller: Caller = NO_CALLER) -> ExitCode:
    """End a bulk recovery: nothing more is begun, what was begun goes on."""
    async with open_client(caller) as client:
        seen = await client.bulk.cancel(recovery_id, reason=reason)
    caller.screen().answer(seen.to_json(), bulk_card(seen))
    return ExitCode.DONE


async def _watch(client: Client, recovery_id: UUID, screen: Screen, patience: timedelta | None = None) -> ExitCode:
    try:
        async with asyncio.timeout(None if patience is None else patience.total_seconds()):
            ended = await _until_ended(client, recovery_id, screen)
    except TimeoutError:
        screen.remark(Text(f"Still going. Look again: ratchet bulk watch {recovery_id}", style="yellow"))
        return ExitCode.UNKNOWN
    if not screen.as_json:
        for line in [*await _troubles(client, ended), *_next_steps(ended)]:
            screen.line(line)
    return _exit_code(ended)


async def _until_ended(client: Client, recovery_id: UUID, screen: Screen) -> BulkRecovery:
    with BulkView(screen) as shown:
        while True:
            seen = _without_items(await client.bulk.get(recovery_id, limit=1))
            shown.show(seen)
            if seen.has_ended:
                return seen
            await asyncio.sleep(LOOK_EVERY.total_seconds())


def _without_items(seen: BulkProgress) -> BulkRecovery:
    members = seen.to_json()
    return BulkRecovery.model_validate({name: members[name] for name in members.keys() - {"items", "nextCursor"}})


async def _troubles(client: Client, ended: BulkRecovery) -> list[RenderableType]:
    found: list[BulkItem] = []
    for outcome, count in ((ItemOutcome.RELAPSED, ended.relapsed), (ItemOutcome.FAILED, ended.failed)):
        if count:
            page = await client.bulk.get(ended.recovery_id, outcome=outcome, limit=TROUBLES_SHOWN)
            found += page.items
    return [items_table(found)] if found else []


def _next_steps(seen: BulkRecovery) -> list[Text]:
    if not seen.has_ended:
        return [Text(f"End it early: ratchet bulk cancel {seen.recovery_id} --reason …", style="dim")]
    if seen.relapsed or seen.failed:
        return [
            Text(f"All that relapsed: ratchet bulk status {seen.recovery_id} --outcome relapsed", style="dim"),
            Text("Why one did: ratchet history ID. When the cause is gone: ratchet bulk preview", style="dim"),
        ]
    return []


def _exit_code(ended: BulkRecovery) -> ExitCode:
    if ended.state is BulkState.CANCELLED:
        return ExitCode.CANCELLED
    troubled = ended.state is BulkState.STOPPED or ended.relapsed or ended.failed
    return ExitCode.FAILED if troubled else ExitCode.DONE
