"""Writing down recoveries, with their audit rows, in the transaction of what they did."""

from collections.abc import Sequence
from typing import Any

import orjson

from ratchet.adapters.postgres.engine import Connection
from ratchet.ports import RecoveryRecord

CHANNEL = "ratchet_recoveries"
"""Notified with the recovery's id when its transaction commits."""


_EXISTS = "SELECT EXISTS (SELECT FROM recovery_attempts WHERE id = $1)"

_RECORD = """
INSERT INTO recovery_attempts (id, workflow_id, kind, actor, reason, outcome, problem, detail, status, resumed_from,
    resumed_step, checkpoint_seq, damaged_checkpoints, correlation_id, status_before, since_seq, awaited_step,
    lost_executor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::workflow_status, $10, $11, $12, $13, $14,
    $15::text::workflow_status, $16, $17, $18)
"""

_WATCH = "INSERT INTO recovery_watches (recovery_id, workflow_id) VALUES ($1, $2)"

_AUDIT = """
INSERT INTO audit_log (workflow_id, actor, action, reason, before, after, outcome, correlation_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def is_recorded(connection: Connection, recovery_id: str) -> bool:
    """Whether this recovery was handled already (the command was delivered again)."""
    return bool(await connection.fetchval(_EXISTS, recovery_id))


async def record(connection: Connection, recoveries: Sequence[RecoveryRecord]) -> None:
    """Write recoveries and their audit rows in the caller's transaction; listeners hear of each at its commit."""
    if not recoveries:
        return
    await connection.executemany(_RECORD, [_recovery_row(item) for item in recoveries])
    watched = [(item.id, item.workflow_id) for item in recoveries if item.awaited_step is not None]
    if watched:
        await connection.executemany(_WATCH, watched)
    await connection.executemany(_AUDIT, [_audit_row(item) for item in recoveries])
    await connection.executemany("SELECT pg_notify($1, $2)", [(CHANNEL, item.id) for item in recoveries])


def _recovery_row(item: RecoveryRecord) -> tuple[Any, ...]:
    return (
        item.id,
        item.workflow_id,
        item.kind.value,
        item.actor,
        item.reason,
        item.outcome.value,
        None if item.problem is None else item.problem.value,
        None if item.detail is None else item.detail[:500],
        None if item.status is None else item.status.value,
        item.resumed_from,
        item.resumed_step,
        item.checkpoint_seq,
        list(item.damaged_checkpoints),
        item.correlation_id,
        None if item.status_before is None else item.status_before.value,
        item.since_seq,
        item.awaited_step,
        item.lost_executor,
    )


def _audit_row(item: RecoveryRecord) -> tuple[Any, ...]:
    reason = item.reason or item.detail
    return (
        item.workflow_id,
        item.actor,
        item.kind.value,
        None if reason is None else reason[:500],
        orjson.dumps(item.before).decode(),
        orjson.dumps(item.after).decode(),
        item.outcome.value,
        item.correlation_id,
    )
