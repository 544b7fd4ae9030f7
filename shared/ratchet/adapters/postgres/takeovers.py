"""Taking a workflow over from a dead executor: a claim that is recorded, audited and announced as a recovery."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from ratchet.adapters.postgres import claims, outbox, recovery_records
from ratchet.adapters.postgres.locks import lives
from ratchet.domain.recovery import SYSTEM, RecoveryKind, RecoveryOutcome
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import Subject, announce, recovered
from ratchet.ports import Claim, ClaimAnswer, ClaimRequest, RecoveryRecord

DIED = "Its executor stopped"
STOOD_STILL = "Its executor gave no sign of life for longer than the lease"

# Locked in id order, as everywhere. The row still names the executor that died.
_BEFORE = f"""
SELECT id, current_step, claimed_by, {lives("claimed_by")} AS lives FROM workflow_instances
WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
"""


async def take_over(
    pool: asyncpg.Pool, requests: Sequence[ClaimRequest], *, executor: str, lease: timedelta
) -> list[ClaimAnswer]:
    """Claim, and for each workflow granted write the recovery, the audit row and the event; all or nothing."""
    async with pool.acquire() as connection, connection.transaction():
        ids = [request.workflow_id for request in requests]
        before = {row["id"]: row for row in await connection.fetch(_BEFORE, ids)}
        answers = await claims.claim(connection, requests, executor=executor, lease=lease)
        granted = [answer.claim for answer in answers if answer.claim is not None]
        await recovery_records.record(
            connection, [_recovery(claim, before[claim.workflow_id], executor) for claim in granted]
        )
        told = {claim.token: _event(claim, before[claim.workflow_id]) for claim in granted}
        rows = dict(zip(told, await outbox.add(connection, list(told.values())), strict=True))
    return [_with_event(answer, told, rows) for answer in answers]


def _with_event(answer: ClaimAnswer, told: dict[UUID, Outgoing], rows: dict[UUID, int]) -> ClaimAnswer:
    if answer.claim is None:
        return answer
    message = told[answer.claim.token]
    return replace(answer, announced=(message,), posted={message.message_id: rows[answer.claim.token]})


def _recovery(claim: Claim, before: asyncpg.Record, executor: str) -> RecoveryRecord:
    step, lost = before["current_step"], before["claimed_by"]
    return RecoveryRecord(
        id=str(uuid4()),
        workflow_id=claim.workflow_id,
        kind=RecoveryKind.TAKEOVER,
        actor=SYSTEM,
        outcome=RecoveryOutcome.RESUMED,
        correlation_id=claim.correlation_id,
        reason=_reason(before),
        status=WorkflowStatus.EXECUTING,
        resumed_from=_resumed_from(claim),
        resumed_step=step,
        checkpoint_seq=claim.checkpoint_seq,
        before={"claimedBy": lost},
        after={"claimedBy": executor},
        status_before=WorkflowStatus.EXECUTING,
        since_seq=claim.last_seq,
        awaited_step=step,
        lost_executor=lost,
    )


def _event(claim: Claim, before: asyncpg.Record) -> Outgoing:
    step = before["current_step"]
    event = recovered(resumed_from=_resumed_from(claim), resumed_step=step, reason=_reason(before))
    subject = Subject(claim.workflow_id, claim.owner_id, claim.correlation_id)
    return announce(event, subject, event_id=str(uuid4()), at=datetime.now(UTC))


def _reason(before: asyncpg.Record) -> str:
    return STOOD_STILL if before["lives"] else DIED


def _resumed_from(claim: Claim) -> datetime | None:
    return None if claim.checkpoint is None else claim.checkpoint.committed_at
