"""The audit log's chain finds what was edited, deleted, reordered or kept out, and holds up nobody who writes."""

import asyncio

import asyncpg
import pytest
from ratchet.adapters.postgres.audit import AuditEntry, append
from ratchet.adapters.postgres.audit_sealing import verify
from ratchet.domain.audit_chain import Flaw, Head

from tests.integration.recovery.recovery_stage import RecoveryStage

SWAP = """
UPDATE audit_log SET actor = other.actor, reason = other.reason FROM audit_log other
WHERE (audit_log.id, other.id) IN (($1::bigint, $2::bigint), ($2::bigint, $1::bigint))
"""


def entry(number: int) -> AuditEntry:
    before, after = {"n": number, "sum": 1e22}, {"z": 1, "a": None}
    return AuditEntry(f"actor-{number}", "recover", "resumed", f"c-{number}", reason="why", before=before, after=after)


@pytest.fixture
async def ids(stage: RecoveryStage) -> list[int]:
    for number in range(6):
        await append(stage.pool, entry(number))
    assert await stage.seal() == 6
    return [row["id"] for row in await stage.pool.fetch("SELECT id FROM audit_log ORDER BY id")]


async def found(pool: asyncpg.Pool) -> list[tuple[Flaw, int | None]]:
    return [(finding.flaw, finding.audit_id) for finding in (await verify(pool)).findings]


async def test_an_untouched_log_is_intact(stage: RecoveryStage, ids: list[int]) -> None:
    result = await verify(stage.pool)
    assert (result.intact, result.checked, result.unsealed, result.head.position) == (True, 6, 0, 6)


@pytest.mark.parametrize(
    "change",
    ["actor = 'x'", "outcome = 'refused'", "after = '{}'", "at = at + interval '1 microsecond'", "reason = NULL"],
)
async def test_an_edited_entry_is_found(stage: RecoveryStage, ids: list[int], change: str) -> None:
    await stage.pool.execute(f"UPDATE audit_log SET {change} WHERE id = $1", ids[2])
    assert await found(stage.pool) == [(Flaw.EDITED, ids[2])]


async def test_a_deleted_entry_is_found(stage: RecoveryStage, ids: list[int]) -> None:
    await stage.pool.execute("DELETE FROM audit_log WHERE id = $1", ids[3])
    assert await found(stage.pool) == [(Flaw.DELETED, ids[3])]


async def test_an_entry_deleted_together_with_its_link_is_found(stage: RecoveryStage, ids: list[int]) -> None:
    await stage.pool.execute("DELETE FROM audit_log WHERE id = $1", ids[3])
    await stage.pool.execute("DELETE FROM audit_chain WHERE audit_id = $1", ids[3])
    assert await found(stage.pool) == [(Flaw.GAP, None)]


async def test_closing_the_gap_does_not_help(stage: RecoveryStage, ids: list[int]) -> None:
    await stage.pool.execute("DELETE FROM audit_log WHERE id = $1", ids[3])
    await stage.pool.execute("DELETE FROM audit_chain WHERE audit_id = $1", ids[3])
    await stage.pool.execute("UPDATE audit_chain SET position = -position WHERE position > 4")
    await stage.pool.execute("UPDATE audit_chain SET position = -position - 1 WHERE position < 0")
    assert await found(stage.pool) == [(Flaw.EDITED, ids[4]), (Flaw.EDITED, ids[5])]


async def test_two_entries_that_changed_places_are_found(stage: RecoveryStage, ids: list[int]) -> None:
    await stage.pool.execute(SWAP, ids[1], ids[4])
    assert await found(stage.pool) == [(Flaw.EDITED, ids[1]), (Flaw.EDITED, ids[4])]


async def test_links_that_changed_places_are_found(stage: RecoveryStage, ids: list[int]) -> None:
    for before, after in ((2, -2), (3, 2), (-2, 3)):
        await stage.pool.execute("UPDATE audit_chain SET position = $2 WHERE position = $1", before, after)
    assert {flaw for flaw, _id in await found(stage.pool)} == {Flaw.EDITED}


@pytest.mark.parametrize("also", ["", "DELETE FROM audit_unsealed WHERE audit_id > 6", "DELETE FROM audit_unsealed"])
async def test_an_entry_that_is_deleted_before_it_is_sealed_leaves_its_trace(
    stage: RecoveryStage, ids: list[int], also: str
) -> None:
    await append(stage.pool, entry(7))
    taken: int = await stage.pool.fetchval("DELETE FROM audit_log WHERE actor = 'actor-7' RETURNING id")
    await stage.pool.execute(also or "SELECT 1")
    await stage.seal()
    assert await found(stage.pool) == [(Flaw.DELETED, taken)]


async def test_an_entry_that_goes_together_with_its_place_in_the_queue_leaves_its_trace(
    stage: RecoveryStage, ids: list[int]
) -> None:
    await append(stage.pool, entry(7))
    async with stage.pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM audit_unsealed")
        taken = await connection.fetchval("DELETE FROM audit_log WHERE actor = 'actor-7' RETURNING id")
    await stage.seal()
    assert await found(stage.pool) == [(Flaw.DELETED, taken)]


async def test_an_entry_that_was_slipped_past_the_chain_is_found(stage: RecoveryStage, ids: list[int]) -> None:
    await append(stage.pool, entry(7))
    await stage.pool.execute("DELETE FROM audit_unsealed")
    await stage.pool.execute("UPDATE audit_log SET at = at - interval '5 minutes' WHERE actor = 'actor-7'")
    assert [flaw for flaw, _id in await found(stage.pool)] == [Flaw.UNSEALED]


async def test_a_chain_that_was_cut_off_at_its_end_does_not_have_the_head_that_was_kept(
    stage: RecoveryStage, ids: list[int]
) -> None:
    kept = (await verify(stage.pool)).head
    await stage.pool.execute("DELETE FROM audit_log WHERE id = $1", ids[5])
    await stage.pool.execute("DELETE FROM audit_chain WHERE audit_id = $1", ids[5])
    assert (await verify(stage.pool)).intact, "by itself it looks whole"
    result = await verify(stage.pool, expected=kept)
    assert [finding.flaw for finding in result.findings] == [Flaw.FORGED]
    assert (await verify(stage.pool, expected=Head(5, result.head.hash))).intact


async def test_an_entry_that_commits_late_is_sealed_after_those_that_came_before_it(stage: RecoveryStage) -> None:
    async with stage.pool.acquire() as slow, slow.transaction():
        await append(slow, entry(1))
        await append(stage.pool, entry(2))
        assert await stage.seal() == 1, "sealing neither waits for the slow transaction nor misses it later"
    assert await stage.seal() == 1
    assert (await verify(stage.pool)).checked == 2
    assert (await verify(stage.pool)).intact


async def test_many_writers_and_several_sealers_leave_one_whole_chain(stage: RecoveryStage) -> None:
    async def write(number: int) -> None:
        await append(stage.pool, entry(number))

    async def seal() -> None:
        for _ in range(10):
            await stage.seal()

    await asyncio.gather(*(write(number) for number in range(200)), *(seal() for _ in range(3)))
    await stage.seal()
    result = await verify(stage.pool)
    assert (result.intact, result.checked) == (True, 200)
