"""What the routes for operators work with: previews, bulk recoveries, audit, parked messages, the scan."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ratchet.messages.commands import RecoveryCommand, RestartScan, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.routes import COMMANDS, Route, recovery_key

if TYPE_CHECKING:
    from ratchet.adapters.postgres.audit_reading import AuditLog
    from ratchet.adapters.postgres.audit_sealing import AuditVerification
    from ratchet.adapters.postgres.bulk_requests import BulkRequests
    from ratchet.adapters.postgres.parked_messages import ParkedMessages
    from ratchet.adapters.postgres.restore_facts import PostgresRestoreFacts
    from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
    from ratchet.domain.audit_chain import Head
    from ratchet.ports import MessagePublisher


@dataclass(frozen=True, slots=True)
class Upkeep:
    """One set for each running app."""

    restore_facts: "PostgresRestoreFacts"
    bulk: "BulkRequests"
    audit: "AuditLog"
    verify_audit: "Callable[[Head | None], Awaitable[AuditVerification]]"
    parked: "ParkedMessages"
    scans: "PostgresScanLedger"
    publisher: "MessagePublisher"

    async def ask_for_scan(self, *, reason: str, correlation_id: str) -> None:
        """Ask the queue for a scan; whatever recovery service is free does it. Safe to repeat."""
        request = Outgoing(
            route=Route(COMMANDS, recovery_key(RecoveryCommand.RESTART_SCAN)),
            message_id=str(uuid4()),
            type=RecoveryCommand.RESTART_SCAN.value,
            body=encode(RestartScan(reason=reason)),
            correlation_id=correlation_id,
        )
        await self.publisher.publish([request])
