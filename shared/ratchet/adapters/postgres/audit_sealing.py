"""Sealing audit entries into the chain, and reading the chain back to check it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import orjson

from ratchet.adapters.postgres.engine import Connection, snapshot
from ratchet.adapters.postgres.locks import Lock, try_in_transaction
from ratchet.domain.audit_chain import EMPTY, ChainCheck, Finding, Flaw, Head, Link, link
from ratchet.messages.envelope import iso
from ratchet.state import canonical, decode_state

_ENTRY = """
a.id, a.at, a.workflow_id::text, a.actor, a.action, a.reason, a.before::text, a.after::text, a.outcome,
a.correlation_id
"""

# An entry that went away before it was sealed leaves a link without an entry, which the check finds.
_TAKE = f"""
WITH taken AS (
    DELETE FROM audit_unsealed WHERE audit_id IN (SELECT audit_id FROM audit_unsealed ORDER BY audit_id LIMIT $1)
    RETURNING audit_id
)
SELECT t.audit_id, {_ENTRY} FROM taken t LEFT JOIN audit_log a ON a.id = t.audit_id ORDER BY t.audit_id
"""

_HEAD = "SELECT position, hash FROM audit_chain ORDER BY position DESC LIMIT 1"

_APPEND = (
    "INSERT INTO audit_chain (position, audit_id, hash) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])"
)

_READ = f"""
SELECT c.position, c.audit_id, c.hash, {_ENTRY}
FROM (SELECT * FROM audit_chain WHERE position > $1 ORDER BY position LIMIT $2) c
LEFT JOIN audit_log a ON a.id = c.audit_id ORDER BY c.position
"""

_STRAY = """
SELECT a.id FROM audit_log a LEFT JOIN audit_chain c ON c.audit_id = a.id
WHERE c.audit_id IS NULL AND a.at < clock_timestamp() - $1::interval ORDER BY a.id LIMIT $2
"""

_WAITING = "SELECT count(*) FROM audit_unsealed"

PIECE = 5000
SEALED_WITHIN = timedelta(minutes=1)
MAX_FINDINGS = 100


class PostgresAuditSealer:
    """Fulfils `recovery_ports.AuditSealer`.

    Entries are written unsealed by many transactions at once; this alone puts them in a row, so nobody waits for it.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def seal_some(self, limit: int) -> int:
        """Seal up to `limit` entries; 0 when there are none or somebody else is at it."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await try_in_transaction(connection, Lock.AUDIT_SEALING):
                return 0
            rows = await connection.fetch(_TAKE, limit)
            if not rows:
                return 0
            head, links = await _head(connection), list[Head]()
            for row in rows:
                position = head.position + 1
                head = Head(position, link(head.hash, position, _entry(row) or b""))
                links.append(head)
            ids = [row["audit_id"] for row in rows]
            await connection.execute(_APPEND, [item.position for item in links], ids, [item.hash for item in links])
        return len(rows)

    async def unsealed(self) -> int:
        """How many entries wait."""
        return int(await self._pool.fetchval(_WAITING))


class AuditVerification:
    """What a check of the whole log found. `unsealed` entries are new and will be sealed in a moment."""

    def __init__(self, *, checked: int, unsealed: int, findings: list[Finding], head: Head) -> None:
        self.checked = checked
        self.unsealed = unsealed
        self.findings = findings
        self.head = head

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


async def verify(pool: asyncpg.Pool, *, expected: Head | None = None) -> AuditVerification:
    """Check every link and every entry; at most `MAX_FINDINGS` findings are told.

    `expected` is a head that was kept elsewhere: the chain must still contain it.
    """
    check, findings, checked = ChainCheck(expected), list[Finding](), 0
    async with snapshot(pool) as connection:
        async for links in _pieces(connection):
            checked += len(links)
            findings += check.follow(links)
        findings += check.end()
        stray = await connection.fetch(_STRAY, SEALED_WITHIN, MAX_FINDINGS)
        unsealed = await connection.fetchval(_WAITING)
    findings += [Finding(Flaw.UNSEALED, None, row["id"]) for row in stray]
    return AuditVerification(checked=checked, unsealed=unsealed, findings=findings[:MAX_FINDINGS], head=check.head)


async def _pieces(connection: Connection) -> AsyncIterator[list[Link]]:
    position = 0
    while rows := await connection.fetch(_READ, position, PIECE):
        position = rows[-1]["position"]
        yield [Link(row["position"], row["audit_id"], row["hash"], _entry(row)) for row in rows]


async def _head(connection: Connection) -> Head:
    row = await connection.fetchrow(_HEAD)
    return EMPTY if row is None else Head(row["position"], row["hash"])


def _entry(row: asyncpg.Record) -> bytes | None:
    """The canonical text of an entry: the same whatever way Postgres writes its JSON and its instants."""
    if row["id"] is None:
        return None
    plain = [row["id"], iso(row["at"]), row["workflow_id"], row["actor"], row["action"], row["reason"]]
    states = [None if row[name] is None else decode_state(row[name]) for name in ("before", "after")]
    return orjson.dumps([*plain, row["outcome"], row["correlation_id"]]) + canonical(states)
