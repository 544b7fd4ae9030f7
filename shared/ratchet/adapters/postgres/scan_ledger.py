"""What restart scans know of each other: the breaker, its evidence, and what the last scan did."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ratchet.adapters.postgres import audit
from ratchet.adapters.postgres.audit import AuditEntry
from ratchet.domain.breaker import SAMPLE, WINDOW, Breaker, BreakerState, Evidence
from ratchet.domain.recovery import SYSTEM
from ratchet.domain.verification import AUTOMATIC
from ratchet.recovery_ports import ScanCounts

_STATE = """
SELECT breaker, changed_at, probe_at, trips, scanned_at, resumed, failed, attended, held_back, clock_timestamp() AS now
FROM scan_state
"""

# Verdicts from before the breaker last changed were judged already.
_RECENT = """
SELECT count(*) FILTER (WHERE verdict = 'verified') AS verified,
    count(*) FILTER (WHERE verdict = 'relapsed') AS relapsed
FROM (
    SELECT verdict FROM recovery_verdicts
    WHERE settled_at > greatest($1::timestamptz, clock_timestamp() - $2::interval) AND kind = ANY ($3::text[])
        AND verdict <> 'superseded'
    ORDER BY settled_at DESC LIMIT $4
) AS recent
"""

_PROBES = """
SELECT count(*) FILTER (WHERE v.verdict = 'verified') AS verified,
    count(*) FILTER (WHERE v.verdict = 'relapsed') AS relapsed, count(*) FILTER (WHERE v.verdict IS NULL) AS pending
FROM recovery_attempts r LEFT JOIN recovery_verdicts v ON v.recovery_id = r.id
WHERE r.kind = 'rescue' AND r.outcome = 'resumed' AND r.attempted_at > $1
"""

_KEEP = "UPDATE scan_state SET breaker = $1, changed_at = $2, probe_at = $3, trips = $4"

_SCANNED = """
UPDATE scan_state
SET scanned_at = clock_timestamp(), resumed = $1, failed = $2, attended = $3, held_back = $4
"""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The scan as the admin API shows it."""

    breaker: Breaker
    evidence: Evidence
    scanned_at: datetime | None
    last: ScanCounts


class PostgresScanLedger:
    """Fulfils `recovery_ports.ScanLedger`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def breaker(self) -> tuple[Breaker, Evidence, datetime]:
        """The breaker, the evidence that counts in its state, and the database's time."""
        row = await self._row()
        breaker = _breaker(row)
        return breaker, await self._evidence(breaker), row["now"]

    async def keep(self, breaker: Breaker, *, reason: str) -> None:
        """The breaker changed; it is audited."""
        async with self._pool.acquire() as connection, connection.transaction():
            before = _breaker(await connection.fetchrow(_STATE))
            await connection.execute(_KEEP, breaker.state.value, breaker.changed_at, breaker.probe_at, breaker.trips)
            entry = AuditEntry(
                actor=SYSTEM,
                action="scan-breaker",
                outcome=breaker.state.value,
                correlation_id=SYSTEM,
                reason=reason,
                before={"breaker": before.state.value},
                after={"breaker": breaker.state.value},
            )
            await audit.append(connection, entry)

    async def scanned(self, counts: ScanCounts) -> None:
        """A scan ended."""
        await self._pool.execute(_SCANNED, counts.resumed, counts.failed, counts.attended, counts.held_back)

    async def report(self) -> ScanReport:
        """For people."""
        row = await self._row()
        breaker = _breaker(row)
        last = ScanCounts(row["resumed"], row["failed"], row["attended"], row["held_back"])
        return ScanReport(breaker, await self._evidence(breaker), row["scanned_at"], last)

    async def _row(self) -> asyncpg.Record:
        row = await self._pool.fetchrow(_STATE)
        assert row is not None  # the migration puts it there
        return row

    async def _evidence(self, breaker: Breaker) -> Evidence:
        if breaker.state is BreakerState.PROBING:
            row = await self._pool.fetchrow(_PROBES, breaker.changed_at)
        else:
            kinds = sorted(kind.value for kind in AUTOMATIC)
            row = await self._pool.fetchrow(_RECENT, breaker.changed_at, WINDOW, kinds, SAMPLE)
        return Evidence() if row is None else Evidence(**row)


def _breaker(row: asyncpg.Record | None) -> Breaker:
    assert row is not None  # the migration puts it there
    return Breaker(BreakerState(row["breaker"]), row["changed_at"], row["probe_at"], row["trips"])
