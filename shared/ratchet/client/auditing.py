"""The audit log, for admins."""

from ratchet.client.asking import Asking, Where
from ratchet.client.filters import AuditFilter, query_of
from ratchet.client.results import AuditVerification, Page
from ratchet.client.upkeep_results import AuditEntry

PATH = "/admin/audit"


class AuditLog:
    """`Client.audit`. Every method raises as the client's own do."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def list(
        self, filters: AuditFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> Page[AuditEntry]:
        """One page of what was done and what was refused, newest first."""
        return await self._asking.page(AuditEntry, PATH, query_of(filters or AuditFilter()), Where(cursor, limit))

    async def verify(self, *, head_position: int | None = None, head_hash: str | None = None) -> AuditVerification:
        """Check that nobody tampered with it; against the head of an earlier check if that is given."""
        head = {"headPosition": head_position, "headHash": head_hash}
        return await self._asking.get(AuditVerification, f"{PATH}/verification", head)
