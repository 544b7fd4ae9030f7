"""`ratchet audit …`: who did what, and is the log as it was written (admins)?"""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from ratchet.cli.arguments import Cursor, Limit
from ratchet.cli.exit_codes import ExitCode
from ratchet.cli.opening import open_client
from ratchet.cli.options import Caller
from ratchet.cli.tables import columns, more
from ratchet.cli.upkeep_tables import audit_table
from ratchet.client import AuditFilter, AuditVerification

NO_CALLER = Caller()


async def list_audit(
    *,
    workflow: Annotated[UUID | None, Parameter(help="Only what was done to this workflow.")] = None,
    actor: Annotated[str | None, Parameter(help="Only what this person did.")] = None,
    action: Annotated[str | None, Parameter(help="Only this action, like recover.")] = None,
    outcome: Annotated[str | None, Parameter(help="Only what ended so, like refused.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    caller: Caller = NO_CALLER,
) -> ExitCode:
    """List what people did and what was refused them, newest first (admins)."""
    filters = AuditFilter(workflow_id=workflow, actor=actor, action=action, outcome=outcome)
    async with open_client(caller) as client:
        page = await client.audit.list(filters, cursor=cursor, limit=limit)
    caller.screen().answer(page.to_json(), audit_table(page.items), more(page))
    return ExitCode.DONE


async def verify(
    *, head_position: int | None = None, head_hash: str | None = None, caller: Caller = NO_CALLER
) -> ExitCode:
    """Check the audit log for entries that were edited, deleted or reordered (admins).

    Parameters
    ----------
    head_position
        With `--head-hash`: the newest link of an earlier check, kept elsewhere. Without it a cut tail cannot be seen.
    head_hash
        That link's hash.
    """
    async with open_client(caller) as client:
        found = await client.audit.verify(head_position=head_position, head_hash=head_hash)
    caller.screen().answer(found.to_json(), *_lines(found))
    return ExitCode.DONE if found.intact else ExitCode.FAILED


def _lines(found: AuditVerification) -> list[Text | Table]:
    if found.intact:
        lines: list[Text | Table] = [Text(f"The audit log is intact: {found.checked} entries checked.", style="green")]
    else:
        lines = [Text("The audit log was tampered with.", style="bold red"), _table(found)]
    if found.unsealed:
        lines.append(Text(f"{found.unsealed} newer entries are not chained yet.", style="dim"))
    keep = f"Keep for the next check: --head-position {found.head.position} --head-hash {found.head.hash}"
    return [*lines, Text(keep, style="dim")]


def _table(found: AuditVerification) -> Table:
    table = columns("what", "entry", "position")
    for finding in found.findings:
        table.add_row(finding.kind, str(finding.audit_id or "-"), str(finding.position or "-"))
    return table
