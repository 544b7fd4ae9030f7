"""Recovering many failed workflows at once, for admins."""

import asyncio
import builtins
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

from ratchet.client.asking import Asking, Where
from ratchet.client.errors import WaitTimeout
from ratchet.client.filters import FailedFilter, criteria_of
from ratchet.client.results import Page
from ratchet.client.upkeep_results import BulkItem, BulkPreview, BulkProgress, BulkRecovery, BulkStarted, FailureGroup
from ratchet.domain.bulk_recovery import DEFAULT_CANARIES, ItemOutcome

PATH = "/admin/recoveries"
LOOK = timedelta(seconds=1)
GROUPS_SHOWN = 1000
"""A preview shows no more groups than this; its total counts the workflows of all."""


class BulkRecoveries:
    """`Client.bulk`. Every method raises as the client's own do."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def preview(self, filters: FailedFilter | None = None) -> BulkPreview:
        """How many failed workflows the filter means now, and by what they failed. Nothing is done."""
        groups: builtins.list[FailureGroup] = []
        total: int | None = None
        where: Where | None = Where(limit=200)
        while where is not None and len(groups) < GROUPS_SHOWN:
            page = await self._asking.page(
                FailureGroup, "/admin/failure-groups", criteria_of(filters or FailedFilter()), where
            )
            groups += page.items
            told = page.to_json().get("total")
            total = told if total is None and isinstance(told, int) else total
            where = None if page.next_cursor is None else Where(page.next_cursor, 200)
        # A server of an older version says only how many are in each group.
        counted = sum(group.count for group in groups)
        return BulkPreview(total=counted if total is None else total, groups=tuple(groups))

    async def start(
        self,
        filters: FailedFilter | None = None,
        *,
        reason: str,
        workflow_ids: Sequence[UUID] = (),
        everything: bool = False,
        expected: int | None = None,
        canary: int = DEFAULT_CANARIES,
        rate: int | None = None,
        idempotency_key: str | None = None,
    ) -> BulkStarted:
        """Recover every failed workflow that the filter means now, or these, or `everything`; the selection is frozen.

        With `expected` (which `everything` needs) nothing is begun if they are another number. Nothing beyond the first
        `canary` begins before all of those are verified (0: no canaries); a relapse stops it. At most `rate` in a
        second, where the platform's own limit is not lower.
        """
        body: dict[str, object] = {"expected": expected, "reason": reason, "canary": canary, "rate": rate}
        if workflow_ids:
            body["workflowIds"] = [str(each) for each in workflow_ids]
        if everything:
            body["all"] = True
        criteria = criteria_of(filters or FailedFilter())
        if criteria or not (workflow_ids or everything):
            body["filter"] = criteria
        return await self._asking.post(BulkStarted, PATH, body, idempotency_key)

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[BulkRecovery]:
        """One page of bulk recoveries, newest first."""
        return await self._asking.page(BulkRecovery, PATH, {}, Where(cursor, limit))

    async def get(
        self, recovery_id: UUID, *, outcome: ItemOutcome | None = None, cursor: str | None = None, limit: int = 50
    ) -> BulkProgress:
        """How far one has come, with a page of its items in the order of the selection; of one outcome if given."""
        query = {"outcome": outcome, "cursor": cursor, "limit": limit}
        return await self._asking.get(BulkProgress, f"{PATH}/{recovery_id}", query)

    async def items(self, recovery_id: UUID, *, outcome: ItemOutcome | None = None) -> AsyncIterator[BulkItem]:
        """Every item, page after page."""
        cursor: str | None = None
        while True:
            page = await self.get(recovery_id, outcome=outcome, cursor=cursor, limit=200)
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def cancel(self, recovery_id: UUID, *, reason: str, idempotency_key: str | None = None) -> BulkRecovery:
        """Begin nothing more; what was begun goes on. Refused (409) when it is over already."""
        return await self._asking.post(
            BulkRecovery, f"{PATH}/{recovery_id}/cancel", {"reason": reason}, idempotency_key
        )

    async def wait(self, recovery_id: UUID, timeout: timedelta | None = None) -> BulkProgress:
        """Return it once it has ended: completed, stopped or cancelled.

        Raises:
            WaitTimeout: it had not ended after `timeout`.
        """
        clock = asyncio.get_running_loop().time
        begun = clock()
        while not (seen := await self.get(recovery_id, limit=1)).has_ended:
            if timeout is not None and clock() - begun >= timeout.total_seconds():
                raise WaitTimeout(f"The bulk recovery had not ended after {timeout}; it goes on by itself")
            await self._asking.pause(LOOK)
        return seen
