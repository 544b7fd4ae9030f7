"""Messages that nobody could act on, for admins."""

from collections.abc import AsyncIterator
from uuid import UUID

from ratchet.client.asking import Asking, Where
from ratchet.client.results import Page
from ratchet.client.upkeep_results import ParkedMessage, ParkedSettled

PATH = "/admin/parked"


class ParkedMessages:
    """`Client.parked`. Every method raises as the client's own do."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def list(self, *, resolved: bool = False, cursor: str | None = None, limit: int = 50) -> Page[ParkedMessage]:
        """One page, the longest parked first: open ones, or those that were replayed or discarded."""
        query = {"resolved": "true" if resolved else "false"}
        return await self._asking.page(ParkedMessage, PATH, query, Where(cursor, limit))

    async def all(self, *, resolved: bool = False) -> AsyncIterator[ParkedMessage]:
        """Every message of a kind, page after page."""
        cursor: str | None = None
        while True:
            page = await self.list(resolved=resolved, cursor=cursor, limit=200)
            for message in page.items:
                yield message
            cursor = page.next_cursor
            if cursor is None:
                return

    async def find(self, parked_id: UUID) -> ParkedMessage | None:
        """One message, looked for among the open ones and then among the settled ones; None if there is no such."""
        for resolved in (False, True):
            async for message in self.all(resolved=resolved):
                if message.id == parked_id:
                    return message
        return None

    async def replay(
        self, parked_id: UUID, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> ParkedSettled:
        """Send it to where it came from, with fresh headers; the answer says whether that helped, if it shows soon."""
        path = f"{PATH}/{parked_id}/replay"
        return await self._asking.post(ParkedSettled, path, {"reason": reason}, idempotency_key)

    async def discard(self, parked_id: UUID, *, reason: str, idempotency_key: str | None = None) -> ParkedSettled:
        """Give it up; it stays on record with the reason."""
        path = f"{PATH}/{parked_id}/discard"
        return await self._asking.post(ParkedSettled, path, {"reason": reason}, idempotency_key)
